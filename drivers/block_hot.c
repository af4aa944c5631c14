// SPDX-License-Identifier: MIT
// Queues of disks in which requests end one soon after the other, while more are in flight, raise no interrupts: each
// would cost the guest that runs an exit. (With one at a time the guest sleeps, or its CPU waits in its stead.) Such a
// queue is looked at when its CPU has nothing else to do, or has submitted something, and by a timer: LOOK_NS later while
// something is in flight, else when nothing has ended for HOT_NS. Interrupts come back at a look of the timer that finds
// so. The timer is always set while a queue is hot, as other CPUs may submit something to it, too. A queue belongs to one
// CPU, which alone does all this.
#include "drivers/block.h"
#include "kernel/core/pcpu.h"

#define HOT_NS  2000000ull
#define LOOK_NS 400000ull

static struct block_queue *hot[PCPU_MAX];

static void take(struct block_queue *q)
{
	if (q->controller->driver->ready(q))
		q->controller->driver->interrupt(q);
}

static bool in_flight(const struct block_queue *q)
{
	return READ_ONCE(q->active.next) != &q->active;
}

static void look_later(struct block_queue *q)
{
	timer_set(&q->look, in_flight(q) ? time_now() + time_from_ns(LOOK_NS) : q->hot);
}

static void cool(struct block_queue *q)
{
	struct block_queue **at = &hot[q->cpu->id];

	while (*at != q)
		at = &(*at)->next_hot;
	*at = q->next_hot;
	q->is_hot = false;
	timer_cancel(&q->look); // who was told just now may have submitted something
	q->controller->driver->mask(q, false);
}

static void look(struct timer *t)
{
	struct block_queue *q = container_of(t, struct block_queue, look);

	take(q);
	if (time_now() >= q->hot)
		cool(q);
	else
		look_later(q);
}

void block_hot_submitted(struct block_queue *q)
{
	if (!q->is_hot || q->cpu != this_pcpu())
		return;
	if (q->controller->driver->ready(q))
		pcpu_post(q->cpu, WORK_MODEL); // taken before the guest goes on
	if (q->look.deadline > time_now() + time_from_ns(LOOK_NS))
		look_later(q);
}

void block_heat(struct block_queue *q)
{
	u64 now = time_now();
	bool often = now - q->ended < time_from_ns(HOT_NS);

	q->ended = now;
	if (!q->cpu || q->cpu != this_pcpu() || !often || !in_flight(q))
		return;
	q->hot = now + time_from_ns(HOT_NS);
	if (!q->is_hot) {
		q->is_hot = true;
		q->next_hot = hot[q->cpu->id];
		hot[q->cpu->id] = q;
		q->controller->driver->mask(q, true);
	}
	look_later(q);
}

bool block_look(void)
{
	bool busy = false;

	for (struct block_queue *q = hot[this_pcpu()->id], *next; q; q = next) {
		next = q->next_hot;
		take(q);
		busy |= time_now() < q->hot && in_flight(q);
	}
	return busy;
}

void block_hot_init(struct block_queue *q, struct pcpu *cpu)
{
	q->cpu = cpu;
	timer_init(&q->look, look);
}
