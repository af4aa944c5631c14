// SPDX-License-Identifier: MIT
// The 8254 interval timer: what its counters show now, and when channel 0's output rises next.
//
// A count written while a channel runs takes effect at once (the chip waits for the end of the cycle in modes 2 and 3).

#include "kernel/vm/vpit.h"
#include "kernel/vm/irq.h"
#include "kernel/vm/vclock.h"
#include "kernel/vm/vm.h"

#define CONTROL 3u // port 43h

#define ACCESS_LATCH 0u
#define ACCESS_LOW   1u
#define ACCESS_HIGH  2u
#define ACCESS_BOTH  3u

#define STATUS_OUT  0x80u
#define STATUS_NULL 0x40u

#define P61_GATE    0x01u
#define P61_SPEAKER 0x02u
#define P61_REFRESH 0x10u
#define P61_OUT     0x20u
#define REFRESH_NS  15085u

static u64 now_clock(void)
{
	return CLOCK_NOW(VPIT_HZ);
}

// Clocks counted since the channel's count was loaded or triggered.
static u64 elapsed(const struct vpit_channel *c, u64 now)
{
	if (!c->running)
		return c->paused;
	return now > c->start ? now - c->start : 0;
}

static bool periodic(const struct vpit_channel *c)
{
	return c->mode == 2 || c->mode == 3;
}
static bool one_shot(const struct vpit_channel *c)
{
	return c->mode == 1 || c->mode == 5;
}

static bool output(const struct vpit_channel *c, u64 now)
{
	u64 n = elapsed(c, now);

	if (!c->loaded)
		return c->mode != 0;
	switch (c->mode) {
	case 0:
		return n >= c->reload;
	case 1:
		return !c->running || n >= c->reload;
	case 2:
		return !c->running || n % c->reload != c->reload - 1;
	case 3:
		return !c->running || n % c->reload < (c->reload + 1) / 2;
	default:
		return n != c->reload;
	}
}

static u16 to_bcd(u32 n)
{
	return (u16)(n % 10 | n / 10 % 10 << 4 | n / 100 % 10 << 8 | n / 1000 % 10 << 12);
}

static u32 from_bcd(u32 n)
{
	return (n & 15) + (n >> 4 & 15) * 10 + (n >> 8 & 15) * 100 + (n >> 12 & 15) * 1000;
}

// What the counting element shows.
static u16 counter(const struct vpit_channel *c, u64 now)
{
	u32 range = c->bcd ? 10000 : 65536, left;
	u64 n = elapsed(c, now);

	if (c->mode == 3)
		left = c->reload - (u32)(n * 2 % c->reload);
	else if (c->mode == 2)
		left = c->reload - (u32)(n % c->reload);
	else
		left = (c->reload + range - (u32)(n % range)) % range; // goes on below zero
	left %= range;
	return c->bcd ? to_bcd(left) : (u16)left;
}

// The first rising edge of the output after clock `after`; TIMER_NEVER.
static u64 next_edge(const struct vpit_channel *c, u64 after)
{
	u64 end = c->start + c->reload + (c->mode == 4);

	if (!c->loaded || !c->running)
		return TIMER_NEVER;
	if (after < end)
		return end;
	if (!periodic(c))
		return TIMER_NEVER;
	return after + c->reload - (after - c->start) % c->reload;
}

static void channel_start(struct vpit_channel *c, u64 now)
{
	c->start = now;
	c->paused = 0;
	c->running = c->gate && !one_shot(c);
}

static void channel_load(struct vpit_channel *c, u16 value, u64 now)
{
	u32 range = c->bcd ? 10000 : 65536, count = c->bcd ? from_bcd(value) % range : value;

	// One is no count for a divider (data sheet, table of minimum counts); two is what it would do.
	if (periodic(c) && count == 1)
		count = 2;
	c->reload = count ? count : range;
	c->loaded = true;
	if (!one_shot(c) || !c->running)
		channel_start(c, now);
}

static void channel_gate(struct vpit_channel *c, bool gate, u64 now)
{
	bool rises = gate && !c->gate, falls = !gate && c->gate;

	c->gate = gate;
	if (!c->loaded)
		return;
	if (rises && (one_shot(c) || periodic(c))) {
		c->start = now;
		c->running = true;
	} else if (rises) {
		c->start = now - c->paused;
		c->running = true;
	} else if (falls && !one_shot(c)) {
		c->paused = periodic(c) ? 0 : elapsed(c, now);
		c->running = false;
	}
}

static void channel_control(struct vpit_channel *c, u8 value)
{
	u8 mode = value >> 1 & 7;

	c->access = value >> 4 & 3;
	c->mode = mode > 5 ? mode & 3 : mode; // 6 and 7 are 2 and 3
	c->bcd = value & 1;
	c->loaded = false;
	c->running = false;
	c->paused = 0;
	c->write_high_next = false;
	c->read_high_next = false;
	c->latched = 0;
	c->status_latched = false;
}

static void latch_count(struct vpit_channel *c, u64 now)
{
	if (c->latched)
		return; // the first latch stands until it is read
	c->latch = counter(c, now);
	c->latched = c->access == ACCESS_BOTH ? 2 : 1;
	c->read_high_next = false;
}

static void latch_status(struct vpit_channel *c, u64 now)
{
	if (c->status_latched)
		return;
	c->status = (u8)((output(c, now) ? STATUS_OUT : 0) | (c->loaded ? 0 : STATUS_NULL) |
			 (unsigned)c->access << 4 | (unsigned)c->mode << 1 | c->bcd);
	c->status_latched = true;
}

static u8 channel_read(struct vpit_channel *c, u64 now)
{
	u16 value = c->latched ? c->latch : counter(c, now);
	bool high = c->access == ACCESS_HIGH || (c->access == ACCESS_BOTH && c->read_high_next);

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	if (c->latched)
		c->latched--;
	if (c->access == ACCESS_BOTH)
		c->read_high_next = !c->read_high_next;
	return (u8)(high ? value >> 8 : value);
}

// true: a whole count has been written.
static bool channel_write(struct vpit_channel *c, u8 value, u64 now)
{
	if (c->access == ACCESS_BOTH && !c->write_high_next) {
		c->write_low = value;
		c->write_high_next = true;
		return false;
	}
	c->write_high_next = false;
	if (c->access == ACCESS_LOW)
		channel_load(c, value, now);
	else if (c->access == ACCESS_HIGH)
		channel_load(c, (u16)(value << 8), now);
	else
		channel_load(c, (u16)(value << 8 | c->write_low), now);
	return true;
}

// An edge has come since the last one that was delivered.
static bool edge_due(const struct vpit *p, u64 now)
{
	return next_edge(&p->ch[0], p->edges) <= now;
}

void vpit_update(struct vpit *p)
{
	u64 now = now_clock(), next, wait;

	if (!pc_irq0_visible(p->vm)) {
		timer_cancel(&p->timer);
		return;
	}
	if (edge_due(p, now)) {
		p->edges = now;
		vm_irq_set(p->vm, VPIT_IRQ, false);
		vm_irq_set(p->vm, VPIT_IRQ, true);
	}
	next = next_edge(&p->ch[0], now);
	if (next == TIMER_NEVER || p->stopped) {
		timer_cancel(&p->timer);
		return;
	}
	wait = next - now;
	if (periodic(&p->ch[0]))
		wait = MAX(wait, clock_from_ns(VPIT_MIN_PERIOD_NS, VPIT_HZ) + 1);
	timer_set(&p->timer, clock_deadline(wait, VPIT_HZ));
}

void vpit_look(struct vpit *p)
{
	u64 now = now_clock();

	if (!edge_due(p, now))
		return;
	if (pc_irq0_visible(p->vm)) {
		vpit_update(p);
		return;
	}
	p->edges = now;
	pc_irq0_latch(p->vm);
}

static void fired(struct timer *t)
{
	struct vpit *p = container_of(t, struct vpit, timer);

	spin_lock(&p->vm->lock);
	vpit_update(p);
	spin_unlock(&p->vm->lock);
}

static void read_back(struct vpit *p, u8 value, u64 now)
{
	for (unsigned i = 0; i < 3; i++) {
		if (!(value >> (i + 1) & 1))
			continue;
		if (!(value & 0x20))
			latch_count(&p->ch[i], now);
		if (!(value & 0x10))
			latch_status(&p->ch[i], now);
	}
}

static void write_control(struct vpit *p, u8 value, u64 now)
{
	unsigned channel = value >> 6;

	if (channel == 3) {
		read_back(p, value, now);
		return;
	}
	if ((value >> 4 & 3) == ACCESS_LATCH) {
		latch_count(&p->ch[channel], now);
		return;
	}
	channel_control(&p->ch[channel], value);
	if (channel != 0)
		return;
	if (p->ch[0].mode == 0)
		vm_irq_set(p->vm, VPIT_IRQ, false);
	timer_cancel(&p->timer);
}

u8 vpit_read(struct vpit *p, u16 port)
{
	if ((port & 3) == CONTROL)
		return 0xff; // cannot be read
	return channel_read(&p->ch[port & 3], now_clock());
}

void vpit_write(struct vpit *p, u16 port, u8 value)
{
	u64 now = now_clock();

	if ((port & 3) == CONTROL) {
		write_control(p, value, now);
		return;
	}
	if (!channel_write(&p->ch[port & 3], value, now) || (port & 3) != 0)
		return;
	p->edges = now;
	if (p->ch[0].mode == 0)
		vm_irq_set(p->vm, VPIT_IRQ, false);
	vpit_update(p);
}

u8 vpit_port61_read(struct vpit *p)
{
	bool refresh = time_to_ns(time_now()) / REFRESH_NS & 1;

	return (u8)((p->ch[2].gate ? P61_GATE : 0) | (p->speaker ? P61_SPEAKER : 0) |
		    (refresh ? P61_REFRESH : 0) | (output(&p->ch[2], now_clock()) ? P61_OUT : 0));
}

void vpit_port61_write(struct vpit *p, u8 value)
{
	channel_gate(&p->ch[2], value & P61_GATE, now_clock());
	p->speaker = value & P61_SPEAKER;
}

void vpit_init(struct vpit *p, struct vm *vm)
{
	*p = (struct vpit){.vm = vm};
	timer_init(&p->timer, fired);
	vpit_reset(p);
}

void vpit_reset(struct vpit *p)
{
	timer_cancel(&p->timer);
	for (unsigned i = 0; i < 3; i++)
		p->ch[i] = (struct vpit_channel){
			.reload = 65536, .mode = 3, .access = ACCESS_BOTH, .gate = i != 2};
	p->speaker = false;
	p->edges = 0;
}

void vpit_destroy(struct vpit *p)
{
	spin_lock(&p->vm->lock);
	p->stopped = true;
	spin_unlock(&p->vm->lock);
	timer_cancel_sync(&p->timer);
}
