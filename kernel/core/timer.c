// SPDX-License-Identifier: MIT
// One-shot timers: a list on each CPU, sorted by deadline, under the CPU's timer_lock.
#include "kernel/core/timer.h"
#include "kernel/core/log.h"

#define RUN_MAX 64

void timer_init_pcpu(struct pcpu *p)
{
	p->timer_lock = SPINLOCK(LOCK_TIMER);
	list_init(&p->timers);
	p->timer_armed = TIMER_NEVER;
}

void timer_init(struct timer *t, void (*fn)(struct timer *))
{
	*t = (struct timer){.fn = fn};
	list_init(&t->link);
}

static void arm(struct pcpu *p, u64 deadline)
{
	if (deadline == p->timer_armed)
		return;
	p->timer_armed = deadline;
	arch_timer_arm(deadline);
}

// Timers with the same deadline keep the order in which they were set.
static void insert(struct pcpu *p, struct timer *t)
{
	struct list *at = p->timers.prev;

	while (at != &p->timers && list_entry(at, struct timer, link)->deadline > t->deadline)
		at = at->prev;
	list_push_front(at, &t->link);
}

void timer_cancel(struct timer *t)
{
	struct pcpu *p;

	// It can leave the queue on its own (by firing) but enter another only through its owner: us.
	while ((p = atomic_load(&t->pcpu))) {
		spin_lock(&p->timer_lock);
		if (t->pcpu == p) {
			list_remove(&t->link);
			atomic_store(&t->pcpu, NULL);
		}
		spin_unlock(&p->timer_lock);
	}
}

void timer_set(struct timer *t, u64 deadline)
{
	struct pcpu *p = this_pcpu();

	ASSERT(t->fn && deadline != TIMER_NEVER);
	timer_cancel(t);
	spin_lock(&p->timer_lock);
	t->deadline = deadline;
	insert(p, t);
	atomic_store(&t->pcpu, p);
	spin_unlock(&p->timer_lock);
	// Armed too early for what is left in the queue costs one idle timer_run; too late is not allowed.
	if (deadline < p->timer_armed)
		arm(p, deadline);
}

void timer_cancel_sync(struct timer *t)
{
	struct pcpu *firing;

	do {
		timer_cancel(t);
		while ((firing = atomic_load(&t->firing)) && firing != this_pcpu())
			cpu_relax();
	} while (timer_is_set(t)); // fn may have set it again before it ended
}

// Lock held; dropped around fn. false when it still fires on another CPU (where it was set before): then it stays
// in the queue.
static bool fire(struct pcpu *p, struct timer *t)
{
	struct pcpu *none = NULL;

	// `firing` first, then `pcpu`: timer_cancel_sync, which looks the other way round, sees one of them.
	if (!__atomic_compare_exchange_n(
		    &t->firing, &none, p, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return false;
	list_remove(&t->link);
	atomic_store(&t->pcpu, NULL);
	spin_unlock(&p->timer_lock);
	t->fn(t);
	atomic_store(&t->firing, NULL);
	spin_lock(&p->timer_lock);
	return true;
}

static u64 run_due(struct pcpu *p)
{
	u64 now = time_now(), next = TIMER_NEVER;
	unsigned count = 0;
	struct timer *t;

	spin_lock(&p->timer_lock);
	while ((t = list_first(&p->timers, struct timer, link))) {
		next = t->deadline;
		if (next > now || count++ == RUN_MAX)
			break;
		if (!fire(p, t)) {
			spin_unlock(&p->timer_lock);
			cpu_relax();
			spin_lock(&p->timer_lock);
		}
		next = TIMER_NEVER;
	}
	spin_unlock(&p->timer_lock);
	return next;
}

void timer_expire(void)
{
	run_due(this_pcpu());
}

void timer_run(u64 also)
{
	struct pcpu *p = this_pcpu();
	u64 next = TIMER_NEVER;

	// Other CPUs only take timers out of this queue, so what looks empty is.
	if (READ_ONCE(p->timers.next) != &p->timers)
		next = run_due(p);
	arm(p, MIN(next, also));
}
