// SPDX-License-Identifier: MIT
// The scheduler's arithmetic.
//
// A VM's virtual time grows with service / weight, so VMs that compete for the same CPUs are served fairly when their
// virtual times stay together. V, the average over all VMs that compete, weighted by their weights, is what a VM with
// its exact share would have; w * (V - vtime) is the service that a VM lags behind (the lags add up to zero). Four rules
// keep it meaningful:
//  1. A VM that wakes is as far behind V as it was when it fell asleep, or by a small bonus if that is more and V has
//     moved so far: sleep saves nothing up, loses nothing, and short sleep wins nothing.
//  2. A VM that had all it could use (none of its vcpus waited) may not lag more than a bound at the end of a turn.
//     So a weight that is worth more CPUs than the VM has vcpus neither saves up time nor pulls V back.
//  3. A turn at whose end nobody wants the CPU does not put the VM ahead: idle time costs nothing. When nobody but the
//     VM itself wants it, the lead is bounded.
//  4. A turn that has no end, for nobody waits, is charged with two slices at most.
#include "kernel/core/sched_fair.h"
#include "kernel/core/log.h"

#define VTIME_UNIT  4096ull // virtual time of one tick at weight 1
#define SCALE_SHIFT 20

struct fair_ticks fair;

// V = base + offset / weights, over the active VMs.
static u64 base;
static s64 offset; // sum of weight * (vtime - base)
static u64 weights;

void fair_init(void)
{
	fair = (struct fair_ticks){
		.slice = time_from_ns(SCHED_SLICE_NS),
		.period = time_from_ns(SCHED_CAP_NS),
		.charge_max = time_from_ns(2 * SCHED_SLICE_NS),
		.bonus = time_from_ns(2000000),
		.lead_max = time_from_ns(3 * SCHED_SLICE_NS),
		.lag_max = time_from_ns(
			20 * SCHED_SLICE_NS), // an emulated CPU may stand still so long
		.granularity = time_from_ns(250000),
		.nap = time_from_ns(1000000000),
	};
	base = weights = 0;
	offset = 0;
}

void fair_vm_init(struct sched_vm *vm)
{
	ASSERT(vm->weight >= 1 && vm->weight <= SCHED_WEIGHT_MAX);
	vm->scale = (VTIME_UNIT << SCALE_SHIFT) / vm->weight;
	vm->vtime = base;
	vm->cap_period = vm->slept_since = time_now();
}

// V; moves the base there, which keeps `offset` small.
static u64 average(void)
{
	s64 step = offset / (s64)weights;

	base += (u64)step;
	offset -= step * (s64)weights;
	return base;
}

static void set_vtime(struct sched_vm *vm, u64 vtime)
{
	if (vm->active)
		offset += fair_diff(vtime, vm->vtime) * (s64)vm->weight;
	vm->vtime = vtime;
}

static u64 chargeable(const struct sched_vcpu *v, u64 ticks)
{
	if (!v->endless)
		return ticks; // however late the end of the turn came
	return MIN(ticks, fair.charge_max - MIN(v->charged, fair.charge_max));
}

u64 fair_vtime_now(const struct sched_vcpu *v, u64 now)
{
	return v->vm->vtime + fair_virtual(v->vm, chargeable(v, fair_elapsed(v->since, now)));
}

void fair_account(struct sched_vcpu *v, u64 now)
{
	struct sched_vm *vm = v->vm;
	u64 ticks = fair_elapsed(v->since, now), charge = chargeable(v, ticks);

	v->since += ticks;
	v->used += ticks;
	v->charged += charge;
	vm->used += ticks;
	if (vm->cap)
		vm->cap_used += ticks;
	set_vtime(vm, vm->vtime + fair_virtual(vm, charge));
}

// The average of the others.
static u64 average_without(const struct sched_vm *vm)
{
	s64 mine = fair_diff(vm->vtime, base) * (s64)vm->weight;

	return base + (u64)((offset - mine) / (s64)(weights - vm->weight));
}

static s64 bound(const struct sched_vm *vm, u64 ticks)
{
	return (s64)fair_virtual(vm, ticks) * (s64)(vm->running + 1);
}

static void bound_lag(struct sched_vm *vm)
{
	s64 behind = fair_diff(average(), vm->vtime);
	s64 allowed = bound(vm, fair.lag_max);
	u64 ratio;

	if (behind <= allowed)
		return;
	// Moving the VM moves V, by weight / weights of the step: so the step is longer by the inverse of the rest.
	ratio = (weights << 16) / (weights - vm->weight);
	set_vtime(vm, vm->vtime + (u64)((unsigned __int128)(u64)(behind - allowed) * ratio >> 16));
}

void fair_settle(const struct sched_vcpu *v, enum fair_rivals rivals)
{
	struct sched_vm *vm = v->vm;
	s64 ahead, excess;

	if (!vm->active || weights == vm->weight)
		return; // it is alone
	if (rivals != FAIR_OTHERS) {
		ahead = fair_diff(vm->vtime, average_without(vm));
		excess = rivals == FAIR_NOBODY ? MIN(ahead, (s64)fair_virtual(vm, v->charged))
					       : ahead - bound(vm, fair.lead_max);
		if (excess > 0)
			set_vtime(vm, vm->vtime - (u64)excess);
	}
	if (vm->ready_count == 0)
		bound_lag(vm);
}

// Keeps what the VM was behind when it fell asleep, lets it fall behind further up to the bonus only.
static void activate(struct sched_vm *vm, u64 now)
{
	u64 others = weights ? average() : base;
	u64 kept = vm->vtime + fair_elapsed(vm->others_then, others);
	u64 latest = others - fair_virtual(vm, fair.bonus);

	if (!weights)
		vm->vtime = others;
	else if (fair_elapsed(vm->slept_since, now) > fair.nap)
		vm->vtime = latest;
	else if (fair_diff(kept, latest) < 0)
		vm->vtime = kept;
	else if (fair_diff(latest, vm->vtime) > 0)
		vm->vtime = latest;
	vm->active = true;
	weights += vm->weight;
	offset += fair_diff(vm->vtime, base) * (s64)vm->weight;
}

static void deactivate(struct sched_vm *vm, u64 now)
{
	offset -= fair_diff(vm->vtime, base) * (s64)vm->weight;
	weights -= vm->weight;
	if (!weights)
		base = vm->vtime;
	vm->active = false;
	vm->slept_since = now;
	vm->others_then = weights ? average() : base;
}

void fair_sleep(const struct sched_vcpu *v, u64 now)
{
	struct sched_vm *vm = v->vm;
	s64 ahead;

	deactivate(vm, now);
	ahead = fair_diff(vm->vtime, vm->others_then);
	if (ahead > 0)
		vm->vtime -= MIN((u64)ahead, fair_virtual(vm, v->charged));
}

void fair_update(struct sched_vm *vm, u64 now)
{
	bool active = vm->running || (vm->ready_count && !vm->parked);

	if (active == vm->active)
		return;
	if (active)
		activate(vm, now);
	else
		deactivate(vm, now);
}

static u64 cap_budget(const struct sched_vm *vm)
{
	return fair.period * vm->cap / 100;
}

bool fair_over_cap(struct sched_vm *vm, u64 now)
{
	if (!vm->cap)
		return false;
	if (fair_diff(now, fair_period_end(vm)) >= 0) {
		u64 periods = (now - vm->cap_period) / fair.period;
		u64 earned = periods * cap_budget(vm);

		vm->cap_period += periods * fair.period;
		vm->cap_used -= MIN(vm->cap_used, earned);
	}
	return vm->cap_used >= cap_budget(vm);
}

u64 fair_cap_left(const struct sched_vm *vm)
{
	if (!vm->cap)
		return ~0ull;
	return cap_budget(vm) - MIN(vm->cap_used, cap_budget(vm));
}
