// SPDX-License-Identifier: MIT
// The scheduler's arithmetic: virtual time, its average, and caps. LOCK_SCHED is held in all of it.
#pragma once

#include "kernel/core/sched.h"

// Constants in ticks.
struct fair_ticks {
	u64 slice;       // SCHED_SLICE_NS
	u64 period;      // SCHED_CAP_NS
	u64 charge_max;  // of one turn without an end
	u64 bonus;       // a VM that wakes may be so much service behind the average
	u64 lead_max;    // a VM that others leave a CPU to may be so much ahead, for each vcpu
	u64 lag_max;     // a VM that has all it wants may be so much behind, for each vcpu
	u64 granularity; // a woken vcpu preempts one that is ahead by this much of its VM's service
	u64 nap;         // a VM that slept longer starts afresh
};
extern struct fair_ticks fair;

void fair_init(void);
void fair_vm_init(struct sched_vm *vm);

// Virtual time that the VM's service of so many ticks takes.
static inline u64 fair_virtual(const struct sched_vm *vm, u64 ticks)
{
	return (u64)((unsigned __int128)ticks * vm->scale >> 20);
}

// a - b of two virtual times, which wrap around.
static inline s64 fair_diff(u64 a, u64 b)
{
	return (s64)(a - b);
}

// Ticks from one point of time to another; 0 when the clocks of two CPUs differ a little and it seems to be past.
static inline u64 fair_elapsed(u64 from, u64 to)
{
	return (s64)(to - from) > 0 ? to - from : 0;
}

// The VM's virtual time as it would be if this running vcpu of it were accounted now.
u64 fair_vtime_now(const struct sched_vcpu *v, u64 now);

// Books the time that the running vcpu has used.
void fair_account(struct sched_vcpu *v, u64 now);

// At the end of a turn, by who waits for the CPU: bounds the VM's lead unless others do, and its lag when none of its
// vcpus has to wait.
enum fair_rivals { FAIR_NOBODY, FAIR_ITSELF, FAIR_OTHERS };
void fair_settle(const struct sched_vcpu *v, enum fair_rivals rivals);

// The same and fair_update in one, for the last vcpu of a VM, when it has stopped to run and nobody waits.
void fair_sleep(const struct sched_vcpu *v, u64 now);

// After ready_count, running or parked changed: the VM begins or ceases to compete.
void fair_update(struct sched_vm *vm, u64 now);

// True when the VM has used up its cap for the period (which it then begins, if it is due).
bool fair_over_cap(struct sched_vm *vm, u64 now);

// Ticks of service until its cap is used up; ~0: no cap.
u64 fair_cap_left(const struct sched_vm *vm);
static inline u64 fair_period_end(const struct sched_vm *vm)
{
	return vm->cap_period + fair.period;
}
