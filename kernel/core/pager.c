// SPDX-License-Identifier: MIT
// Long text for the console: a few pieces at a time, at once while the line takes them, else a little later.
#include "kernel/core/pager.h"
#include "kernel/core/console.h"
#include "kernel/core/log.h"
#include "kernel/core/timer.h"

#define PIECE     256u
#define PIECES    8 // at one call
#define WAIT_NS   1000000ull
#define TEXTS_MAX 4

static size_t (*texts[TEXTS_MAX])(char *out, size_t size); // the first is being shown
static unsigned count;
static struct timer timer;

static void first_is_done(void)
{
	count--;
	for (unsigned i = 0; i < count; i++)
		texts[i] = texts[i + 1];
}

static void show(struct timer *t)
{
	bool room = true;

	for (unsigned i = 0; i < PIECES && count && room; i++) {
		char text[PIECE];
		size_t n;

		room = console_log_room() >= 2 * PIECE;
		n = room ? texts[0](text, sizeof(text)) : 0;
		if (n)
			console_log(text, n);
		else if (room)
			first_is_done();
	}
	if (count)
		timer_set(t, time_now() + (room ? 0 : time_from_ns(WAIT_NS)));
}

bool pager_show(size_t (*next)(char *out, size_t size))
{
	ASSERT(this_pcpu()->id == 0);
	for (unsigned i = 0; i < count; i++)
		if (texts[i] == next)
			return false;
	if (count == TEXTS_MAX)
		return false;
	texts[count++] = next;
	if (count == 1) {
		timer_init(&timer, show);
		timer_set(&timer, time_now());
	}
	return true;
}
