// SPDX-License-Identifier: MIT
#include "mezzd/loop.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>
#include <sys/epoll.h>

#include "common/util.h"

bool loop_open(struct loop *l)
{
	*l = (struct loop){.epoll = epoll_create1(EPOLL_CLOEXEC)};
	if (l->epoll < 0)
		complain("epoll: %s", strerror(errno));
	return l->epoll >= 0;
}

void loop_close(struct loop *l)
{
	close(l->epoll);
}

bool loop_watch(struct loop *l, struct loop_source *s)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};

	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, s->fd, &e) == 0)
		return true;
	complain("epoll: %s", strerror(errno));
	return false;
}

void loop_forget(struct loop *l, struct loop_source *s)
{
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, s->fd, NULL);
}

void loop_clear(struct loop *l, struct loop_timer *t)
{
	struct loop_timer **at = &l->timers;

	while (*at && *at != t)
		at = &(*at)->next;
	if (*at)
		*at = t->next;
	t->set = false;
}

void loop_set(struct loop *l, struct loop_timer *t, int64_t when)
{
	struct loop_timer **at = &l->timers;

	if (t->set)
		loop_clear(l, t);
	while (*at && (*at)->at <= when)
		at = &(*at)->next;
	t->at = when;
	t->set = true;
	t->next = *at;
	*at = t;
}

// Those that were due when it began: one that sets itself again does not keep the loop here.
static void run_timers(struct loop *l)
{
	int64_t now = clock_ms();

	while (!l->ended && l->timers && l->timers->at <= now) {
		struct loop_timer *t = l->timers;

		loop_clear(l, t);
		t->due(t);
	}
}

// ms until the next timer; -1: there is none.
static int time_left(const struct loop *l)
{
	int64_t left = l->timers ? l->timers->at - clock_ms() : -1;

	if (!l->timers)
		return -1;
	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

// One event at a time: a source may forget another one.
bool loop_run(struct loop *l)
{
	while (!l->ended) {
		struct epoll_event e;
		int n = epoll_wait(l->epoll, &e, 1, time_left(l));

		if (n < 0 && errno != EINTR) {
			complain("epoll: %s", strerror(errno));
			return false;
		}
		if (n > 0) {
			struct loop_source *s = e.data.ptr;

			s->ready(s);
		}
		run_timers(l);
	}
	return true;
}

void loop_end(struct loop *l)
{
	l->ended = true;
}
