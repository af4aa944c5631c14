// SPDX-License-Identifier: MIT
// One-shot timers in ticks of the TSC, kept on the CPU that set them; no periodic tick.
#pragma once

#include "kernel/core/pcpu.h"

#define TIMER_NEVER (~0ull)

struct timer {
	struct list link;    // T
	u64 deadline;        // T: ticks
	struct pcpu *pcpu;   // T: on whose queue, NULL: not set
	struct pcpu *firing; // T: the CPU that is in fn now
	void (*fn)(
		struct timer *t); // called on that CPU with no lock held; may set the timer again
};

void timer_init(struct timer *t, void (*fn)(struct timer *));

// Sets (or moves) the timer to fire on this CPU once `deadline` has passed. Any context with locks
// below LOCK_TIMER. Only one CPU at a time may set one timer (its owner's lock sees to that).
void timer_set(struct timer *t, u64 deadline);

// The timer will not start to fire after this; it may be firing on another CPU right now.
void timer_cancel(struct timer *t);

// As timer_cancel, and waits until it does not fire. No lock may be held that its fn takes.
void timer_cancel_sync(struct timer *t);

static inline bool timer_is_set(const struct timer *t)
{
	return READ_ONCE(t->pcpu) != NULL;
}

// Runs what is due on this CPU; timer_run follows. At most 64 timers at a call.
void timer_expire(void);

// Runs what is due on this CPU and arms the hardware for the next one, or for `also` (a deadline of
// the caller, TIMER_NEVER for none) if that is earlier. At most 64 timers at a call; the hardware
// is armed in the past if more are due.
void timer_run(u64 also);

// To be called once for each CPU before timers are used there.
void timer_init_pcpu(struct pcpu *p);
