// SPDX-License-Identifier: MIT
// Taking memory away from a VM that runs.
//
// A page goes in three steps:
//
//	unmapped   by gmap_unmap, with the VM's lock held: from now on a new look gives another page
//	waiting    until nobody is left who looked before: a grace period
//	released   to the frame allocator, which scrubs it; and the guest is told
//
// Who may have looked before, and how it is known that he is done:
//	a device, a timer, a completion   has the VM's lock while he uses what he found: so he is done at once. The
//	                                  rings of virtio queues are kept longer, and are looked up anew
//	a CPU that handles an exit        has a vcpu loaded. Each such CPU comes to reclaim_quiet in its loop
//	a processor's TLB, ram_cache      each vcpu has VCPU_FLUSH pending before the CPUs are asked
//	a disk that reads or writes       counted by dma_begin and dma_end: those begun before the grace period
//	pv.steal and pv.eoi of a vcpu     point elsewhere than the map, if they are old: the guest's fault, and waited for
#pragma once

#include "devices/host.h"
#include "kernel/core/pcpu.h"
#include "kernel/vm/vm.h"

#define RECLAIM_ROOM 512u // pieces of one grace period

// One for each VM, under its lock. IDLE: pieces are gathered; WAITING: for the end of the grace period.
struct reclaim {
	struct vm *vm;
	void (*done)(void *device); // when it is over, with the VM's lock held
	void *device;
	struct host_timer timer;
	bool waiting;
	u64 pace; // ns until the next look
	unsigned count, cost, looks;
	struct gmap_gone gone[RECLAIM_ROOM];
	unsigned turn;      // of vm->dma before the grace period
	u64 cpus;           // that must come by
	u64 seen[PCPU_MAX]; // how often each had come by then
	u64 frames;         // given back so far
};

void reclaim_init(struct reclaim *r, struct vm *vm, struct host *h);
void reclaim_destroy(
	struct reclaim *r); // all vcpus are gone and nothing is in flight; no lock held

// As host_drop and host_drop_end (devices/host.h) say.
u64 reclaim_drop(struct reclaim *r, u64 gpa, u64 len);
void reclaim_end(struct reclaim *r);

// This CPU is in its loop, and holds no pointer into any guest's memory but those that VCPU_FLUSH drops.
void reclaim_quiet(void);

// A device of the machine is told physical addresses of the VM's memory, looked up since the VM's lock was taken; and does
// not know them any more. VM's lock held.
static inline unsigned dma_begin(struct vm *vm)
{
	vm->dma.in_flight[vm->dma.turn]++;
	return vm->dma.turn;
}

static inline void dma_end(struct vm *vm, unsigned turn)
{
	vm->dma.in_flight[turn]--;
}
