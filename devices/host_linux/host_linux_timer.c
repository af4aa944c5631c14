// SPDX-License-Identifier: MIT
// Timers of a process: a list in the order of their times, as there are few and most are cancelled or set again.
#include "devices/host_linux/host_linux.h"

struct place {
	struct host_timer *next;
	struct host_timer **from; // what names this one
	u64 when;                 // ns
};

_Static_assert(sizeof(struct place) <= sizeof(((struct host_timer *)0)->space), "room");

static struct place *place_of(const struct host_timer *t)
{
	return (struct place *)(uintptr_t)t->space;
}

void host_timer_init(struct host *h, struct host_timer *t, void (*fn)(struct host_timer *))
{
	*t = (struct host_timer){.fn = fn, .host = h};
}

void host_timer_cancel(struct host_timer *t)
{
	struct place *p = place_of(t);

	if (!t->armed)
		return;
	t->armed = false;
	*p->from = p->next;
	if (p->next)
		place_of(p->next)->from = p->from;
}

void host_timer_set(struct host_timer *t, u64 delay_ns)
{
	struct place *p = place_of(t);
	struct host_timer **from = &t->host->timer;

	host_timer_cancel(t);
	p->when = host_linux_now() + delay_ns;
	while (*from && place_of(*from)->when <= p->when)
		from = &place_of(*from)->next;
	p->from = from;
	p->next = *from;
	if (p->next)
		place_of(p->next)->from = &p->next;
	*from = t;
	t->armed = true;
}

void host_timer_destroy(struct host_timer *t)
{
	host_timer_cancel(t);
}

u64 host_linux_timeout(const struct host *h)
{
	u64 now;

	if (!h->timer)
		return ~0ull;
	now = host_linux_now();
	return place_of(h->timer)->when > now ? place_of(h->timer)->when - now : 0;
}

// One that is set again by its own call has its time after `now`, and waits for the next look.
void host_linux_timers_run(struct host *h)
{
	u64 now;

	if (!h->timer)
		return;
	now = host_linux_now();
	while (h->timer && place_of(h->timer)->when <= now) {
		struct host_timer *t = h->timer;

		host_timer_cancel(t);
		t->fn(t);
	}
}
