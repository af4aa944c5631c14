// SPDX-License-Identifier: MIT
// The trace: a ring of records on each CPU, made when tracing is first switched on.
#include "kernel/core/trace.h"
#include "kernel/core/cmdline.h"
#include "kernel/core/console.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
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

static void dump_ring(u32 cpu)
{
	u64 head = heads[cpu];

	for (u64 i = head > RING_RECORDS ? head - RING_RECORDS : 0; i < head; i++) {
		const struct trace_record *r = &rings[cpu][i % RING_RECORDS];

		log_line("trace: %x %lx %x %x %x %lx %lx", r->cpu, r->tsc, r->event, r->vm, r->vcpu, r->a, r->b);
		console_flush();
	}
}

static void key_dump(void)
{
	u64 mask = trace_mask;

	trace_mask = 0; // so that what is shown stands still
	for (u32 i = 0; i < pcpu_count; i++)
		if (rings[i])
			dump_ring(i);
	trace_mask = mask;
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
