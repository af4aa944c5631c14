// SPDX-License-Identifier: MIT
// The virtual local APIC's timer: one-shot, periodic and TSC-deadline (SDM 10.5.4).
//
// The count is a function of time since it was loaded, never kept up to date; a host timer is set only while its going
// off would be heard, so a masked timer costs nothing. The host timer may go off on a CPU that the vcpu has left. It
// reads timer_start and timer_period, so these change only after timer_cancel_sync().
#include "kernel/vm/vm.h"
#include "kernel/vm/vlapic_regs.h"

static bool timer_masked(const struct vlapic *l)
{
	return READ_ONCE(l->lvt[LVT_TIMER]) & LVT_MASKED;
}

static u32 timer_mode(const struct vlapic *l)
{
	return READ_ONCE(l->lvt[LVT_TIMER]) & LVT_TIMER_MODE;
}

// The divisor as a power of two (SDM figure 10-10).
static unsigned timer_shift(const struct vlapic *l)
{
	return (((l->timer_dcr & 3) | (l->timer_dcr >> 1 & 4)) + 1) & 7;
}

static void timer_hear(struct vcpu *v)
{
	u32 lvt = READ_ONCE(v->lapic.lvt[LVT_TIMER]);

	if (!(lvt & LVT_MASKED))
		vlapic_set_irq(v, (u8)lvt, false);
}

// The end of the period in which `now` lies.
static u64 timer_next(const struct vlapic *l, u64 now)
{
	u64 elapsed = now - l->timer_start;

	return now + (l->timer_period - elapsed % l->timer_period);
}

static void timer_fire(struct timer *t)
{
	struct vcpu *v = container_of(t, struct vcpu, lapic.timer);

	if (timer_mode(&v->lapic) == LVT_TIMER_PERIODIC)
		timer_set(t, timer_next(&v->lapic, time_now()));
	timer_hear(v);
}

// Sets the host timer for what the registers say; it is not set now.
static void timer_arm(struct vcpu *v, u64 now)
{
	struct vlapic *l = &v->lapic;

	if (timer_masked(l))
		return;
	if (timer_mode(l) == LVT_TIMER_DEADLINE) {
		u64 left = l->timer_deadline - (now + v->vm->tsc_offset);

		if (l->timer_deadline > now + v->vm->tsc_offset && left < TIMER_NEVER - now)
			timer_set(&l->timer, now + left);
	} else if (l->timer_initial) {
		if (timer_mode(l) == LVT_TIMER_PERIODIC)
			timer_set(&l->timer, timer_next(l, now));
		else if (now - l->timer_start < l->timer_period)
			timer_set(&l->timer, l->timer_start + l->timer_period);
	}
}

// The length of a whole count, from the registers.
static void timer_period_update(struct vlapic *l)
{
	u64 ns = (u64)l->timer_initial << timer_shift(l);
	u64 ticks;

	if (timer_mode(l) == LVT_TIMER_PERIODIC)
		ns = MAX(ns, VLAPIC_PERIOD_MIN_NS);
	ticks = time_from_ns(ns);
	l->timer_period = MAX(ticks, 1);
}

u32 vlapic_timer_current(const struct vcpu *v)
{
	const struct vlapic *l = &v->lapic;
	u64 elapsed = time_now() - l->timer_start, counts;
	bool periodic = timer_mode(l) == LVT_TIMER_PERIODIC;

	if (!l->timer_initial || timer_mode(l) == LVT_TIMER_DEADLINE)
		return 0;
	if (periodic)
		elapsed %= l->timer_period;
	else if (elapsed >= l->timer_period)
		return 0;
	counts = time_to_ns(elapsed) >> timer_shift(l);
	return counts < l->timer_initial ? l->timer_initial - (u32)counts : 1;
}

void vlapic_timer_initial_set(struct vcpu *v, u32 count)
{
	struct vlapic *l = &v->lapic;

	if (timer_mode(l) == LVT_TIMER_DEADLINE)
		return;
	timer_cancel_sync(&l->timer);
	l->timer_initial = count;
	l->timer_start = time_now();
	timer_period_update(l);
	timer_arm(v, l->timer_start);
}

// The count stands where it is and goes on at the new rate.
void vlapic_timer_divide_set(struct vcpu *v, u32 dcr)
{
	struct vlapic *l = &v->lapic;
	u64 now = time_now(), counted;
	u32 current = vlapic_timer_current(v);

	timer_cancel_sync(&l->timer);
	l->timer_dcr = dcr & 0xb;
	if (!l->timer_initial)
		return;
	timer_period_update(l);
	counted = (u64)(l->timer_initial - current) << timer_shift(l);
	l->timer_start = now - time_from_ns(counted);
	timer_arm(v, now);
}

void vlapic_timer_lvt_set(struct vcpu *v, u32 lvt)
{
	struct vlapic *l = &v->lapic;
	u32 before = l->lvt[LVT_TIMER];

	timer_cancel_sync(&l->timer);
	WRITE_ONCE(l->lvt[LVT_TIMER], lvt);
	if ((before ^ lvt) & LVT_TIMER_DEADLINE) { // disarms both (SDM 10.5.4.1)
		l->timer_initial = 0;
		l->timer_deadline = 0;
	} else if ((before ^ lvt) & LVT_TIMER_PERIODIC) {
		timer_period_update(l);
	}
	timer_arm(v, time_now());
}

void vlapic_timer_deadline_set(struct vcpu *v, u64 guest_tsc)
{
	struct vlapic *l = &v->lapic;
	u64 now, guest_now;

	if (timer_mode(l) != LVT_TIMER_DEADLINE)
		return;
	l->timer_deadline = guest_tsc;
	if (!guest_tsc || timer_masked(l)) {
		timer_cancel(&l->timer);
		return;
	}
	now = time_now();
	guest_now = now + v->vm->tsc_offset;
	if (guest_tsc <= guest_now) {
		timer_cancel(&l->timer);
		timer_hear(v);
	} else if (guest_tsc - guest_now < TIMER_NEVER - now) {
		timer_set(&l->timer, now + (guest_tsc - guest_now));
	} else { // later than the clock can count
		timer_cancel(&l->timer);
	}
}

u64 vlapic_timer_deadline(const struct vcpu *v)
{
	u64 deadline = v->lapic.timer_deadline;

	return deadline > vm_tsc(v->vm) ? deadline : 0;
}

void vlapic_timer_init(struct vcpu *v)
{
	timer_init(&v->lapic.timer, timer_fire);
}

void vlapic_timer_reset(struct vcpu *v)
{
	struct vlapic *l = &v->lapic;

	timer_cancel_sync(&l->timer);
	WRITE_ONCE(l->lvt[LVT_TIMER], LVT_MASKED);
	l->timer_dcr = 0;
	l->timer_initial = 0;
	l->timer_deadline = 0;
}
