// SPDX-License-Identifier: MIT
// The scheduler: which vcpu runs on which CPU, and for how long.
//
// Proportional share: each VM has a virtual time that grows with the processor time its vcpus use,
// divided by its weight; the runnable vcpu of the VM that is furthest behind runs next. A VM whose
// vcpus sleep, or that has fewer runnable vcpus than its share is worth, does not save up time. A
// cap bounds a VM's use in each period whatever else is idle. Slices are bounded, so a VM that
// spins holds up nobody; with nobody waiting there is no timer at all. How virtual time stays
// meaningful with VMs that cannot use their share is told in sched_fair.c.
//
// States of a vcpu:  BLOCKED -> READY (sched_wake) -> RUNNING (sched_next) -> READY (its slice
// ended)
//                                                             RUNNING -> BLOCKED (sched_block)
//                    any -> OFF (sched_vcpu_exit); a RUNNING one leaves by its CPU's next sched_next.
#pragma once

#include "kernel/core/pcpu.h"

enum sched_state { SCHED_OFF, SCHED_BLOCKED, SCHED_READY, SCHED_RUNNING };

// All fields are under LOCK_SCHED; a reader without it may see a value that is a moment old.
struct sched_vm {
	struct list
		link; // among the VMs with something ready, or among those that wait for their next period
	struct list ready; // its ready vcpus, first come first served
	u32 ready_count;
	u32 running; // vcpus RUNNING now
	u64 vtime;   // virtual time: service / weight (sched_fair.c)
	u64 scale;   // virtual time for one tick, in 1/2^20
	u32 weight;
	u32 cap;      // percent of one CPU, 0: none
	u64 affinity; // mask of CPU ids it may run on
	u64 cap_used; // ticks used in the period that began at cap_period; more than allowed is carried over
	u64 cap_period;
	u64 slept_since; // when it last ceased to have something to run
	u64 others_then; // the average virtual time of the others then
	bool active;     // counts in the average virtual time
	bool parked;     // has used up its cap: waits for its next period
	u64 used;        // ticks of processor time in all
};

struct sched_vcpu {
	struct list link;
	struct sched_vm *vm;
	enum sched_state state;
	bool wake_pending; // woken while RUNNING: the next sched_block does not block
	bool exiting;
	bool woken;        // READY: because it was woken, not because its turn ended
	struct pcpu *pcpu; // where it runs, or ran last
	struct pcpu *told; // READY: the idle CPU that was told to take it
	u64 since;         // RUNNING: accounted up to here
	u64 turn;          // RUNNING: begin of its turn
	bool endless;      // RUNNING: its turn has no end, for nobody waits
	u64 charged;       // RUNNING: ticks of this turn that count in vtime
	u64 ready_since;
	u64 used;   // ticks of processor time
	u64 waited; // ticks READY but not RUNNING (steal time)
};

#define SCHED_SLICE_NS   5000000ull  // longest turn while others wait
#define SCHED_CAP_NS     10000000ull // period of caps
#define SCHED_WEIGHT_MAX 10000

// CPUs that run no vcpu. Set, if at all, before the first sched_vm_init.
extern u64 sched_barred;

void sched_init(void);

// affinity: mask of CPUs; 0, or none that runs vcpus: all. The VM and its vcpus must stay in place
// until sched_vcpu_exit has been called for each and none is RUNNING.
void sched_vm_init(struct sched_vm *vm, u32 weight, u32 cap, u64 affinity);
void sched_vcpu_init(struct sched_vcpu *v, struct sched_vm *vm); // BLOCKED

// Makes a vcpu ready, if it sleeps, and sees to it that a CPU which should run it looks: an idle
// one first (the one where it ran last if it can be had), else the CPU that runs the vcpu least
// entitled. Any CPU.
void sched_wake(struct sched_vcpu *v);

// This CPU's running vcpu goes to sleep; unless it was woken since it began to run or since its
// last sched_block: then it stays RUNNING and false is returned. The order that makes this safe: a
// waker first publishes the event, then calls sched_wake.
bool sched_block(struct sched_vcpu *v);

// The vcpu shall run no more. When it is RUNNING on another CPU, that CPU is kicked. The caller
// waits for sched_is_off(). After OFF nothing in the scheduler points at it.
void sched_vcpu_exit(struct sched_vcpu *v);
bool sched_is_off(const struct sched_vcpu *v);

// This CPU's turn ends (if it had one); returns what to run now, NULL to idle. *until: when to call
// again at the latest, in ticks; TIMER_NEVER when nobody waits. The same vcpu may come back.
struct sched_vcpu *sched_next(u64 now, u64 *until);

// Processor time used by the vcpu and the VM until now, in ticks, including a turn that is under
// way.
u64 sched_vcpu_used(const struct sched_vcpu *v, u64 now);
