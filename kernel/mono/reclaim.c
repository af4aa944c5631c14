// SPDX-License-Identifier: MIT
// Taking memory away from a VM that runs: see reclaim.h.
#include "kernel/mono/reclaim.h"

#include "devices/virtio_pci.h"
#include "kernel/core/log.h"
#include "kernel/vm/vpv_abi.h"

#define LOOKS      1024u       // at the memory map, for one grace period
#define TABLE_COST 64u         // of the ROOM; a block or a frame costs 1
#define PACE       20000ull    // ns until the first look
#define PACE_MAX   10000000ull // ns between two, at most

static u64 quiet[PCPU_MAX]; // a: how often each CPU has come by

void reclaim_quiet(void)
{
	atomic_add(&quiet[this_pcpu()->id], 1);
}

// ---------------------------------------------------------------- unmapping

// The end of the VM's own RAM that gpa lies in; 0: it lies in none. Firmware is not the guest's to give back.
static u64 ram_end(const struct vm *vm, u64 gpa)
{
	if (gpa < vm->ram_low)
		return vm->ram_low;
	return gpa >= GPA_RAM_HIGH && gpa - GPA_RAM_HIGH < vm->ram_high
		       ? GPA_RAM_HIGH + vm->ram_high
		       : 0;
}

static void unmap_next(struct reclaim *r, u64 *gpa, u64 end)
{
	u64 limit = ram_end(r->vm, *gpa);
	struct gmap_gone *g = &r->gone[r->count];

	r->looks++;
	if (!limit) {
		*gpa = *gpa < GPA_RAM_HIGH ? GPA_RAM_HIGH : end;
		return;
	}
	*gpa += gmap_unmap(&r->vm->gmap, *gpa, MIN(limit, end), g);
	if (g->kind != GMAP_NOTHING) {
		r->count++;
		r->cost += g->kind == GMAP_TABLE ? TABLE_COST : 1;
	}
}

u64 reclaim_drop(struct reclaim *r, u64 gpa, u64 len)
{
	u64 at = ALIGN_UP(gpa, PAGE_SIZE), end = ALIGN_DOWN(gpa + len, PAGE_SIZE);

	if (gpa >> 48)
		return len;
	ASSERT(!r->waiting);
	while (at < end && r->cost < RECLAIM_ROOM && r->looks < LOOKS)
		unmap_next(r, &at, end);
	return at < end ? MIN(at - gpa, len) : len;
}

// The rings of all virtio devices, where the guest has them now.
static void rings_remap(struct vm *vm)
{
	for (unsigned i = 0; i < VPCI_SLOTS; i++) {
		struct virtio_device *d;

		if (vm->pc.pci.slot[i].ops != &virtio_pci_ops)
			continue;
		d = ((struct virtio_pci *)vm->pc.pci.slot[i].dev)->dev;
		for (unsigned q = 0; q < d->queues; q++)
			virtqueue_remap(&d->queue[q]);
	}
}

// ---------------------------------------------------------------- the grace period

// The order matters. Memory is unmapped already. Every vcpu that enters the guest from now on flushes first; then the CPUs
// that have one loaded are asked. A CPU that loads one too late to be seen here looks at the events after that, behind
// a full barrier, before it enters the guest.
static void grace_begin(struct reclaim *r)
{
	struct vm *vm = r->vm;

	r->turn = vm->dma.turn;
	vm->dma.turn = !r->turn;
	r->cpus = 0;
	for (u32 i = 0; i < vm->vcpu_count; i++)
		atomic_or(&vm->vcpus[i]->events, VCPU_FLUSH);
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		struct pcpu *p = atomic_load(&vm->vcpus[i]->loaded_on);

		if (!p || r->cpus & BIT(p->id))
			continue;
		r->cpus |= BIT(p->id);
		r->seen[p->id] = atomic_load(&quiet[p->id]);
		pcpu_post(p, WORK_MODEL);
	}
}

static bool is_old(const struct vm *vm, const void *kept, u64 msr)
{
	return kept && kept != gmap_look(&vm->gmap, msr & ~MSR_KVM_ENABLED);
}

static bool grace_is_over(struct reclaim *r)
{
	struct vm *vm = r->vm;

	for (u64 left = r->cpus; left; left &= left - 1) {
		unsigned cpu = (unsigned)__builtin_ctzll(left);

		if (atomic_load(&quiet[cpu]) == r->seen[cpu])
			return false;
	}
	r->cpus = 0;
	if (vm->dma.in_flight[r->turn])
		return false;
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		const struct vpv *v = &vm->vcpus[i]->pv;

		if (is_old(vm, READ_ONCE(v->steal), READ_ONCE(v->steal_msr)) ||
			is_old(vm, READ_ONCE(v->eoi), READ_ONCE(v->eoi_msr)))
			return false;
	}
	return true;
}

static void release(struct reclaim *r)
{
	for (unsigned i = 0; i < r->count; i++)
		r->frames += gmap_release(&r->vm->gmap, &r->gone[i]);
	r->count = r->cost = r->looks = 0;
	r->waiting = false;
}

static void look(struct host_timer *t)
{
	struct reclaim *r = container_of(t, struct reclaim, timer);

	if (r->count && !grace_is_over(r)) {
		r->pace = MIN(r->pace * 2, PACE_MAX);
		host_timer_set(t, r->pace);
		return;
	}
	release(r);
	r->done(r->device);
}

void reclaim_end(struct reclaim *r)
{
	r->waiting = true;
	r->pace = PACE;
	if (r->count) {
		rings_remap(r->vm);
		grace_begin(r);
	}
	host_timer_set(&r->timer, r->pace);
}

// ---------------------------------------------------------------- life

void reclaim_init(struct reclaim *r, struct vm *vm, struct host *h)
{
	r->vm = vm;
	host_timer_init(h, &r->timer, look);
}

void reclaim_destroy(struct reclaim *r)
{
	host_timer_destroy(&r->timer);
	release(r);
}
