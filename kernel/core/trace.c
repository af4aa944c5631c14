// SPDX-License-Identifier: MIT
// The trace: a ring of records on each CPU, made when tracing is first switched on.
#include "kernel/core/trace.h"
#include "kernel/core/cmdline.h"
#include "kernel/core/console.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/pager.h"
#include "kernel/core/pcpu.h"

#define RING_BYTES   (64 * KiB)
#define RING_RECORDS (RING_BYTES / sizeof(struct trace_record))

u64 trace_mask;

static struct trace_record *rings[PCPU_MAX];
static u64 heads[PCPU_MAX]; // own CPU: records written in all

void trace_write(enum trace_event event, u16 vm, u16 vcpu, u64 a, u64 b)
{
	u32 cpu = this_pcpu()->id;
	struct trace_record *ring = rings[cpu];

	if (ring)
		ring[heads[cpu]++ % RING_RECORDS] =
			(struct trace_record){time_now(), (u16)event, vm, vcpu, (u16)cpu, a, b};
}

static bool make_rings(void)
{
	for (u32 i = 0; i < pcpu_count; i++) {
		if (!rings[i])
			rings[i] = kmem_alloc(RING_BYTES, FRAME_OWNER_KERNEL);
		if (!rings[i])
			return false;
	}
	return true;
}

static void set_mask(u64 mask)
{
	if (mask && !make_rings()) {
		log_line("trace: no memory for the rings");
		return;
	}
	trace_mask = mask;
	log_line("trace: mask 0x%lx", mask);
}

// The dump that is being shown: the next record, and the mask to put back.
static u32 dump_cpu;
static u64 dump_at, dump_mask;

static u64 ring_begin(u32 cpu)
{
	return heads[cpu] > RING_RECORDS ? heads[cpu] - RING_RECORDS : 0;
}

static size_t dump_more(char *out, size_t size)
{
	const struct trace_record *r;

	while (dump_cpu < pcpu_count && (!rings[dump_cpu] || dump_at == heads[dump_cpu])) {
		dump_cpu++;
		dump_at = dump_cpu < pcpu_count ? ring_begin(dump_cpu) : 0;
	}
	if (dump_cpu >= pcpu_count) {
		trace_mask = dump_mask;
		return 0;
	}
	r = &rings[dump_cpu][dump_at++ % RING_RECORDS];
	return format(out, size, "trace: %x %lx %x %x %x %lx %lx\n", r->cpu, r->tsc, r->event,
		r->vm, r->vcpu, r->a, r->b);
}

static void key_dump(void)
{
	u64 mask = trace_mask;

	trace_mask = 0; // so that what is shown stands still
	if (!pager_show(dump_more)) {
		trace_mask = mask;
		return;
	}
	dump_mask = mask;
	dump_cpu = 0;
	dump_at = ring_begin(0);
}

static void key_toggle(void)
{
	set_mask(trace_mask ? 0 : BIT(TRACE_EVENTS) - 1);
}

static u64 parse_hex(const char *text)
{
	u64 n = 0;

	for (; *text; text++) {
		unsigned c = (u8)*text | 0x20u;
		unsigned digit = c - '0' < 10 ? c - '0' : c - 'a' < 6 ? c - 'a' + 10 : 16;

		if (digit > 15)
			return 0;
		n = n << 4 | digit;
	}
	return n;
}

void trace_init(void)
{
	char text[20];

	console_key_register('t', "trace: switch all events on or off", key_toggle);
	console_key_register('T', "trace: dump the rings", key_dump);
	if (cmdline_get("trace", text, sizeof(text)))
		set_mask(parse_hex(text));
}
