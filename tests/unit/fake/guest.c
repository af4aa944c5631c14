// SPDX-License-Identifier: MIT
// A VM without a machine under it: see guest.h.
#include <stdlib.h>
#include <string.h>
#include "kernel/core/wallclock.h"
#include "tests/unit/fake/guest.h"

u8 fake_guest_ram[FAKE_GUEST_RAM] __attribute__((aligned(4096)));
unsigned fake_posts[64], fake_flushes[64];
u16 fake_ss_attr;
u64 fake_wall_ns;

static struct vm *current_vm;

u64 wall_clock_ns(void)
{
	return fake_wall_ns;
}

static bool in_ram(gpa_t at, size_t size)
{
	return at.v < FAKE_GUEST_RAM && size <= FAKE_GUEST_RAM - at.v;
}

bool guest_read(struct vm *vm, gpa_t at, void *to, size_t size)
{
	(void)vm;
	if (!in_ram(at, size))
		return false;
	memcpy(to, fake_guest_ram + at.v, size);
	return true;
}

bool guest_write(struct vm *vm, gpa_t at, const void *from, size_t size)
{
	(void)vm;
	if (!in_ram(at, size))
		return false;
	memcpy(fake_guest_ram + at.v, from, size);
	return true;
}

void *guest_ptr(struct vm *vm, gpa_t at, size_t size)
{
	(void)vm;
	if (!in_ram(at, size) || at.v % PAGE_SIZE + size > PAGE_SIZE)
		return NULL;
	return fake_guest_ram + at.v;
}

void vcpu_kick(struct vcpu *v)
{
	(void)v;
}

void vcpu_post(struct vcpu *v, u64 events)
{
	v->events |= events;
	fake_posts[v->id]++;
}

static void fake_seg_get(const struct vcpu *v, unsigned s, struct hvm_segment *out)
{
	(void)v;
	(void)s;
	*out = (struct hvm_segment){.attr = fake_ss_attr};
}

static void fake_flush(struct vcpu *v)
{
	fake_flushes[v->id]++;
}

static void fake_tpr_set(struct vcpu *v, u8 tpr)
{
	(void)v;
	(void)tpr;
}

static const struct hvm_ops fake_ops = {
	.name = "fake", .seg_get = fake_seg_get, .flush = fake_flush, .tpr_set = fake_tpr_set};
const struct hvm_ops *hvm = &fake_ops;

static void free_vm(void)
{
	for (u32 i = 0; current_vm && i < current_vm->vcpu_count; i++)
		free(current_vm->vcpus[i]);
	free(current_vm);
	current_vm = NULL;
}

struct vm *fake_vm(u32 count)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	free_vm();
	if (!vm)
		abort();
	current_vm = vm;
	fake_reset(2);
	fake_now = 1000;
	timer_init_pcpu(pcpus[0]);
	timer_init_pcpu(pcpus[1]);
	memset(fake_guest_ram, 0, sizeof(fake_guest_ram));
	memset(fake_posts, 0, sizeof(fake_posts));
	memset(fake_flushes, 0, sizeof(fake_flushes));
	fake_ss_attr = 0x93;
	fake_wall_ns = 0;
	vm->lock = SPINLOCK(LOCK_VM);
	vm->vcpu_count = count;
	vm->tsc_offset = 0 - fake_now;
	for (u32 i = 0; i < count; i++) {
		struct vcpu *v = vm->vcpus[i] = calloc(1, sizeof(*v));

		if (!v)
			abort();
		v->vm = vm;
		v->id = i;
		v->sched.state = SCHED_BLOCKED;
		vlapic_init(v);
		vlapic_reset(v, false);
		vpv_reset(v);
	}
	return vm;
}

int fake_deliver(struct vcpu *v)
{
	int vector;

	v->events &= ~(u64)VCPU_LAPIC;
	vector = vlapic_irq_pending(v);
	if (vector >= 0)
		vlapic_irq_accept(v, (u8)vector);
	return vector;
}

void fake_run(struct vcpu *v)
{
	if (v->sched.state == SCHED_RUNNING)
		v->sched.pcpu->running = NULL;
	v->sched.state = SCHED_RUNNING;
	v->sched.pcpu = this_pcpu();
	v->sched.pcpu->running = &v->sched;
}

void fake_time(u64 ticks)
{
	fake_now += ticks;
	timer_run(TIMER_NEVER);
}

// Frees the last VM, so that the leak check finds nothing.
__attribute__((destructor)) static void free_last(void)
{
	free_vm();
}
