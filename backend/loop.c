// SPDX-License-Identifier: MIT
// The loop of a back-end: sleeps until bells ring, requests are done, frames come, or a timer goes off; then does what there is,
// and at the end sends the interrupts of all that together.
//
// Whoever wakes it is level-triggered, and each turn does a bounded part of what there is; so nothing is forgotten and nobody
// starves. A tap is not waited for while its guest has no buffers.
#include "backend/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "backend/say.h"
#include "backend/uplink.h"

#define EVENTS   16
#define RETRY_NS 1000000ull // until io_uring is asked again that had no room

struct watch {
	void (*ready)(struct backend *b, struct watch *w, u32 events);
	struct device *card; // of a tap
	bool on;
	bool dead;
};

static struct watch bells_watch, ring_watch, uplinks_watch;

static bool ended_by(struct backend *b, int err)
{
	if (err == -ENOENT)
		b->ended = true;
	else if (err < 0 && !b->error)
		b->error = err;
	return err < 0;
}

// ---------------------------------------------------------------- who wakes it

void loop_vm_bells(struct backend *b)
{
	if (b->keeper && READ_ONCE(b->bells->vars))
		keeper_changed(b->keeper);
	b->ended |= atomic_exchange(&b->bells->vm, 0) & MEZZ_BELL_END;
}

// The eventfd is emptied before the bells are taken: a bell that rings meanwhile wakes again.
static void bells_ready(struct backend *b, struct watch *w, u32 events)
{
	u64 count;

	(void)w;
	(void)events;
	if (read(b->events, &count, sizeof(count)) < 0 && errno != EAGAIN)
		ended_by(b, -errno);
	for (unsigned slot = 0; slot < MEZZ_SLOTS; slot++) {
		u64 bells = READ_ONCE(b->bells->device[slot])
				    ? atomic_exchange(&b->bells->device[slot], 0)
				    : 0;

		if (bells && b->device[slot])
			ended_by(b, device_bells(b->device[slot], bells));
	}
	loop_vm_bells(b);
}

static void ring_ready(struct backend *b, struct watch *w, u32 events)
{
	(void)w;
	(void)events;
	host_ring_reap(b->ring);
}

static void uplinks_ready(struct backend *b, struct watch *w, u32 events)
{
	(void)w;
	(void)events;
	uplinks_read(b->uplinks, backend_link_changed, b);
}

// One that was taken away would wake for ever.
static void tap_ready(struct backend *b, struct watch *w, u32 events)
{
	if (events & (EPOLLERR | EPOLLHUP)) {
		host_log(&b->host, "nic %u: its tap is gone", w->card->slot - PLAN_CARD_SLOT);
		epoll_ctl(b->epoll, EPOLL_CTL_DEL, w->card->net->tap, NULL);
		w->dead = true;
		return;
	}
	host_net_receive(w->card->net);
}

// ---------------------------------------------------------------- a turn

// What waits in taps for a guest that has no buffers stays there.
static void taps_choose(struct backend *b)
{
	for (unsigned slot = 0; slot < MEZZ_SLOTS; slot++) {
		struct watch *w = b->watch[slot];
		struct epoll_event e = {.data.ptr = w};

		if (!w || w->dead || w->on == !w->card->net->full)
			continue;
		w->on = !w->on;
		e.events = w->on ? EPOLLIN : 0;
		epoll_ctl(b->epoll, EPOLL_CTL_MOD, w->card->net->tap, &e);
	}
}

// true: io_uring has all.
static bool turn_end(struct backend *b)
{
	bool submitted;

	for (unsigned slot = 0; slot < MEZZ_SLOTS; slot++)
		if (b->device[slot] && b->device[slot]->net)
			host_net_try_again(b->device[slot]->net);
	for (unsigned slot = 0; slot < MEZZ_SLOTS; slot++)
		if (b->device[slot])
			ended_by(b, device_turn_end(b->device[slot]));
	submitted = host_ring_submit(b->ring);
	taps_choose(b);
	return submitted;
}

static int wait(struct backend *b, struct epoll_event *e, u64 patience)
{
	u64 ns = MIN(patience, host_linux_timeout(&b->host));
	struct timespec t = {
		.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};

	return epoll_pwait2(b->epoll, e, EVENTS, ns == ~0ull ? NULL : &t, NULL);
}

bool backend_turn(struct backend *b, u64 patience)
{
	struct epoll_event e[EVENTS];
	bool submitted = turn_end(b);
	int n;

	if (b->ended || b->error)
		return false;
	n = wait(b, e, submitted ? patience : MIN(patience, RETRY_NS));
	if (n < 0 && errno != EINTR)
		ended_by(b, -errno);
	for (int i = 0; i < n; i++) {
		struct watch *w = e[i].data.ptr;

		w->ready(b, w, e[i].events);
	}
	if (!submitted)
		host_ring_reap(b->ring);
	host_linux_timers_run(&b->host);
	return true;
}

// ---------------------------------------------------------------- life

static bool watch_add(struct backend *b, int fd, struct watch *w)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = w};

	w->on = true;
	return !epoll_ctl(b->epoll, EPOLL_CTL_ADD, fd, &e);
}

static bool watch_tap(struct backend *b, unsigned slot)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return false;
	*w = (struct watch){.ready = tap_ready, .card = b->device[slot]};
	b->watch[slot] = w;
	return watch_add(b, w->card->net->tap, w);
}

bool loop_prepare(struct backend *b)
{
	bool ok;

	b->epoll = epoll_create1(EPOLL_CLOEXEC);
	bells_watch.ready = bells_ready;
	ring_watch.ready = ring_ready;
	ok = b->epoll >= 0 && watch_add(b, b->events, &bells_watch) &&
	     watch_add(b, host_ring_fd(b->ring), &ring_watch);
	uplinks_watch.ready = uplinks_ready;
	if (ok && b->uplinks >= 0)
		ok = watch_add(b, b->uplinks, &uplinks_watch);
	for (unsigned slot = 0; slot < MEZZ_SLOTS && ok; slot++)
		if (b->device[slot] && b->device[slot]->net)
			ok = watch_tap(b, slot);
	return ok || say("no epoll: %s", strerror(errno));
}

void loop_destroy(struct backend *b)
{
	for (unsigned slot = 0; slot < MEZZ_SLOTS; slot++)
		free(b->watch[slot]);
	if (b->epoll >= 0)
		close(b->epoll);
}

// A snapshot is nobody's when its VM has ended; its memory goes now, its name with the VM's next start.
static void snapshots_drop(struct backend *b)
{
	for (unsigned i = 0; i < BUNDLE_MAX_DISKS; i++)
		if (b->snapshot[i] >= 0 && ftruncate(b->snapshot[i], 0))
			say("disk %u: its snapshot cannot be emptied: %s", i, strerror(errno));
}

bool backend_run(struct backend *b)
{
	while (backend_turn(b, ~0ull))
		;
	if (!b->ended)
		return say("%s: the kernel of Mezzanine refused: %s", b->name, strerror(-b->error));
	if (b->keeper)
		keeper_end(b->keeper);
	snapshots_drop(b);
	return true;
}
