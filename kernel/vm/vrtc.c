// SPDX-License-Identifier: MIT
// The MC146818 real-time clock: registers, flags, and the one timer for its interrupt.

#include "kernel/vm/vrtc.h"
#include "kernel/core/wallclock.h"
#include "kernel/vm/irq.h"
#include "kernel/vm/vclock.h"
#include "kernel/vm/vm.h"
#include "kernel/vm/vrtc_time.h"

#define REG_A 0x0au
#define REG_B 0x0bu
#define REG_C 0x0cu
#define REG_D 0x0du

#define A_UIP       0x80u
#define B_SET       0x80u
#define FLAG_PERIOD 0x40u // in B: enable, in C: flag
#define FLAG_ALARM  0x20u
#define FLAG_UPDATE 0x10u
#define C_IRQF      0x80u
#define D_VALID     0x80u

#define UIP_NS    244000u // an update begins that long after UIP rises
#define PERIOD_HZ 32768u

static u64 guest_ns(const struct vrtc *r)
{
	return wall_clock_ns() + (u64)r->offset_ns;
}
static u64 period_clock(u64 ns)
{
	return clock_from_ns(ns, PERIOD_HZ);
}

// Rate selection -> log2 of the period in ticks of 32768 Hz; 0: no periodic interrupt.
static unsigned period_shift(const struct vrtc *r)
{
	unsigned rate = r->cmos[REG_A] & 15u;

	if (rate == 0)
		return 0;
	return rate <= 2 ? rate + 6 : rate - 1;
}

static bool is_time(unsigned reg)
{
	return reg <= 9 ? !(reg & 1) || reg >= 6 : reg == VRTC_CENTURY;
}

// Brings the flags up to date and drives the interrupt line.
static void flags_update(struct vrtc *r)
{
	u64 now = guest_ns(r), seen = r->seen_ns;
	unsigned shift = period_shift(r);
	u8 flags = 0;

	if (shift && period_clock(now) >> shift != period_clock(seen) >> shift)
		flags |= FLAG_PERIOD;
	if (!(r->cmos[REG_B] & B_SET) && now > seen && now / NS_PER_SEC != seen / NS_PER_SEC) {
		flags |= FLAG_UPDATE;
		if (vrtc_next_alarm(r->cmos, seen / NS_PER_SEC) <= now / NS_PER_SEC)
			flags |= FLAG_ALARM;
	}
	r->seen_ns = now;
	r->cmos[REG_C] |= flags;
	if (r->cmos[REG_C] & r->cmos[REG_B] & (FLAG_PERIOD | FLAG_ALARM | FLAG_UPDATE))
		r->cmos[REG_C] |= C_IRQF;
	else
		r->cmos[REG_C] &= (u8)~C_IRQF;
	vm_irq_set(r->vm, VRTC_IRQ, r->cmos[REG_C] & C_IRQF);
}

// Nanoseconds until the next event that is enabled; TIMER_NEVER.
static u64 next_event(const struct vrtc *r)
{
	u64 second = r->seen_ns / NS_PER_SEC, fraction = r->seen_ns % NS_PER_SEC;
	u64 wait = TIMER_NEVER, alarm;
	unsigned shift = period_shift(r);
	u8 enabled = r->cmos[REG_B];

	if ((enabled & FLAG_PERIOD) && shift) {
		u64 clock = period_clock(r->seen_ns),
		    ticks = (1ull << shift) - (clock & ((1ull << shift) - 1));

		wait = ticks * NS_PER_SEC / PERIOD_HZ + 1;
	}
	if (enabled & B_SET)
		return wait;
	if (enabled & FLAG_UPDATE)
		wait = MIN(wait, NS_PER_SEC - fraction);
	if (enabled & FLAG_ALARM) {
		alarm = vrtc_next_alarm(r->cmos, second);
		if (alarm != VRTC_NO_ALARM)
			wait = MIN(wait, (alarm - second) * NS_PER_SEC - fraction);
	}
	return wait;
}

// The line is up until the guest reads C; until then nothing more can be seen.
static void update(struct vrtc *r)
{
	u64 wait;

	flags_update(r);
	wait = r->stopped || (r->cmos[REG_C] & C_IRQF) ? TIMER_NEVER : next_event(r);
	if (wait == TIMER_NEVER)
		timer_cancel(&r->timer);
	else
		timer_set(&r->timer, time_now() + time_from_ns(wait) + 1);
}

static void fired(struct timer *t)
{
	struct vrtc *r = container_of(t, struct vrtc, timer);

	spin_lock(&r->vm->lock);
	update(r);
	spin_unlock(&r->vm->lock);
}

// The clock goes on from what the time registers say.
static void set_time(struct vrtc *r)
{
	u64 now = wall_clock_ns();

	r->offset_ns = (s64)(vrtc_time_get(r->cmos) * NS_PER_SEC - now);
	r->seen_ns = guest_ns(r);
}

static u8 read_a(const struct vrtc *r)
{
	bool updating = guest_ns(r) % NS_PER_SEC >= NS_PER_SEC - UIP_NS;

	return (u8)(r->cmos[REG_A] | (updating && !(r->cmos[REG_B] & B_SET) ? A_UIP : 0));
}

static u8 read_c(struct vrtc *r)
{
	u8 value;

	flags_update(r);
	value = r->cmos[REG_C];
	r->cmos[REG_C] = 0;
	update(r);
	return value;
}

u8 vrtc_read(struct vrtc *r, u16 port)
{
	u8 reg = r->index;

	if (!(port & 1))
		return 0xff; // the index cannot be read back
	if (reg == REG_A)
		return read_a(r);
	if (reg == REG_C)
		return read_c(r);
	if (is_time(reg) && !(r->cmos[REG_B] & B_SET))
		vrtc_time_put(r->cmos, guest_ns(r) / NS_PER_SEC);
	return r->cmos[reg];
}

static void write_b(struct vrtc *r, u8 value)
{
	u8 before = r->cmos[REG_B];

	flags_update(r);
	if ((value & B_SET) && !(before & B_SET)) {
		vrtc_time_put(r->cmos, guest_ns(r) / NS_PER_SEC);
		value &= (u8)~FLAG_UPDATE; // as the chip does
	}
	r->cmos[REG_B] = value;
	if (!(value & B_SET) && (before & B_SET))
		set_time(r);
	update(r);
}

static void write_time(struct vrtc *r, u8 reg, u8 value)
{
	bool set = r->cmos[REG_B] & B_SET;

	if (!set)
		vrtc_time_put(r->cmos, guest_ns(r) / NS_PER_SEC);
	r->cmos[reg] = value;
	if (!set)
		set_time(r);
}

void vrtc_write(struct vrtc *r, u16 port, u8 value)
{
	u8 reg = r->index;

	if (!(port & 1)) {
		r->index = value & 0x7f; // bit 7 masks NMI on a PC: there is no source of one
		return;
	}
	if (reg == REG_B) {
		write_b(r, value);
	} else if (reg == REG_A) {
		flags_update(r);
		r->cmos[REG_A] = value & (u8)~A_UIP;
		update(r);
	} else if (is_time(reg)) {
		write_time(r, reg, value);
		update(r);
	} else if (reg != REG_C && reg != REG_D) {
		r->cmos[reg] = value;
		if (reg <= 5) // an alarm register
			update(r);
	}
}

void vrtc_init(struct vrtc *r, struct vm *vm)
{
	*r = (struct vrtc){.vm = vm};
	timer_init(&r->timer, fired);
	r->cmos[REG_A] = 0x26; // 32768 Hz, periodic rate 1024 Hz
	r->cmos[REG_B] = VRTC_B_24H;
	r->cmos[REG_D] = D_VALID;
	vrtc_time_put(r->cmos, guest_ns(r) / NS_PER_SEC);
	r->seen_ns = guest_ns(r);
}

void vrtc_reset(struct vrtc *r)
{
	timer_cancel(&r->timer);
	if (r->cmos[REG_B] & B_SET)
		write_b(r, VRTC_B_24H);
	r->index = 0;
	r->cmos[REG_B] &= (u8) ~(FLAG_PERIOD | FLAG_ALARM | FLAG_UPDATE | 0x08u);
	r->cmos[REG_C] = 0;
	r->seen_ns = guest_ns(r);
	vm_irq_set(r->vm, VRTC_IRQ, false);
}

void vrtc_destroy(struct vrtc *r)
{
	spin_lock(&r->vm->lock);
	r->stopped = true;
	spin_unlock(&r->vm->lock);
	timer_cancel_sync(&r->timer);
}
