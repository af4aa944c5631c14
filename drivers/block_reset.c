// SPDX-License-Identifier: MIT
// Brings a controller to work at start, and back to work when it has failed, by its driver's steps:
//
//   LIVE -> ASKED -> UNDERWAY -> LIVE, or DEAD
//
// At start the steps are called in a loop; later by a timer, while nothing is started. A dead controller is cut off
// from memory before its requests are ended, so that whoever owns that memory may use it again.
#include "drivers/block.h"
#include "kernel/core/log.h"
#include "kernel/x86/time.h"
#include "lib/errno.h"

#define STEPS_MAX  1000000u
#define RESETS_MAX 16 // without QUIET_NS between two of them: it is of no use any more
#define QUIET_NS   600000000000ull

static void recover(struct timer *t);

void block_controller_init(struct block_controller *c, const struct block_driver *driver)
{
	c->driver = driver;
	c->lock = SPINLOCK(LOCK_DRIVER);
	c->state = BLOCK_ASKED;
	timer_init(&c->timer, recover);
}

int block_bring_up(struct block_controller *c)
{
	u64 wait = 1;

	for (u32 i = 0; wait && wait != BLOCK_FAILED && i < STEPS_MAX; i++) {
		wait = c->driver->recover(c, i == 0);
		if (wait && wait != BLOCK_FAILED)
			time_wait_ns(wait);
	}
	if (wait) {
		c->driver->cut_off(c);
		c->state = BLOCK_DEAD;
		log_line("%s: does not work: %s", c->name, c->why ? c->why : "it does not start");
		return -EIO;
	}
	c->state = BLOCK_LIVE;
	return 0;
}

static void ask(struct block_controller *c, const char *why, bool routine)
{
	spin_lock(&c->lock);
	if (c->state == BLOCK_LIVE) {
		c->state = BLOCK_ASKED;
		c->why = why;
		c->routine = routine;
		timer_set(&c->timer, time_now());
	}
	spin_unlock(&c->lock);
}

void block_reset(struct block_controller *c, const char *why)
{
	ask(c, why, false);
}

void block_restart(struct block_controller *c)
{
	ask(c, "a command failed", true);
}

// False: it has been reset too often.
static bool begin(struct block_controller *c)
{
	c->state = BLOCK_UNDERWAY;
	block_stop(c);
	if (c->routine)
		return true;
	log_line("%s: reset: %s", c->name, c->why);
	if (time_to_ns(time_now() - c->reset_at) > QUIET_NS)
		c->resets = 0;
	c->reset_at = time_now();
	c->why = "it was reset too often";
	return c->resets++ < RESETS_MAX;
}

static void set_state(struct block_controller *c, enum block_state state)
{
	spin_lock(&c->lock);
	c->state = state;
	spin_unlock(&c->lock);
}

static void give_up(struct block_controller *c)
{
	c->driver->cut_off(c);
	set_state(c, BLOCK_DEAD);
	log_line("%s: given up: %s", c->name, c->why);
	block_dead(c);
}

// From ASKED on the controller is this function's alone; a timer does not go off on two CPUs at once.
static void recover(struct timer *t)
{
	struct block_controller *c = container_of(t, struct block_controller, timer);
	bool first = c->state == BLOCK_ASKED;
	u64 wait = first && !begin(c) ? BLOCK_FAILED : c->driver->recover(c, first);

	if (wait == BLOCK_FAILED) {
		give_up(c);
	} else if (wait) {
		timer_set(t, time_now() + time_from_ns(wait));
	} else {
		set_state(c, BLOCK_LIVE);
		if (!c->routine)
			log_line("%s: works again", c->name);
		block_resume(c);
	}
}
