// SPDX-License-Identifier: MIT
// Long text for the console, shown piece by piece: one text at a time, its next pieces whenever a timer finds room.
#include "kernel/core/pager.h"
#include "kernel/core/console.h"
#include "kernel/core/timer.h"

#define PIECE     256u
#define PERIOD_NS 1000000ull

static struct timer timer;
static size_t (*more)(char *out, size_t size); // who started the timer, then its function
static u64 busy;

static void show(struct timer *t)
{
	char text[PIECE];

	for (size_t room = console_log_room(); room > 2 * PIECE; room -= 2 * PIECE) {
		size_t n = more(text, sizeof(text));

		if (!n) {
			atomic_store(&busy, 0);
			return;
		}
		console_log(text, n);
	}
	timer_set(t, time_now() + time_from_ns(PERIOD_NS));
}

bool pager_start(size_t (*next)(char *out, size_t size))
{
	if (atomic_exchange(&busy, 1))
		return false;
	more = next;
	timer_init(&timer, show);
	timer_set(&timer, time_now());
	return true;
}
