// SPDX-License-Identifier: MIT
// Tests of the lock order's check, and that the core keeps the order when it is on.
// link: kernel/core/lockcheck.c tests/unit/fake/arch.c
#define DEBUG
#include "tests/unit/test.h"
#include "kernel/core/log.h"
#include "kernel/core/pcpu.h"

TEST(rising_ranks)
{
	static struct spinlock vm = SPINLOCK(LOCK_VM), sched = SPINLOCK(LOCK_SCHED),
			       frame = SPINLOCK(LOCK_FRAME);

	fake_reset(2);
	spin_lock(&vm);
	spin_lock(&sched);
	spin_lock(&frame);
	CHECK(spin_is_locked(&frame));
	spin_unlock(&sched); // any order of dropping
	spin_unlock(&frame);
	spin_lock(&sched);
	spin_unlock(&sched);
	spin_unlock(&vm);
	CHECK(!spin_is_locked(&vm));
}

TEST(falling_rank_is_found)
{
	static struct spinlock vm = SPINLOCK(LOCK_VM), sched = SPINLOCK(LOCK_SCHED);

	fake_reset(2);
	spin_lock(&sched);
	CHECK(FAKE_PANICS(spin_lock(&vm)));
	CHECK(!spin_is_locked(&vm)); // found before it waits
}

TEST(same_rank_is_found)
{
	static struct spinlock a = SPINLOCK(LOCK_VM), b = SPINLOCK(LOCK_VM);

	fake_reset(2);
	spin_lock(&a);
	CHECK(FAKE_PANICS(spin_lock(&b)));
}

TEST(each_cpu_for_itself)
{
	static struct spinlock frame = SPINLOCK(LOCK_FRAME), vm = SPINLOCK(LOCK_VM);

	fake_reset(2);
	spin_lock(&frame);
	fake_cpu = pcpus[1];
	spin_lock(&vm);
	spin_unlock(&vm);
	fake_cpu = pcpus[0];
	spin_unlock(&frame);
}

TEST(dropping_what_is_not_held_is_found)
{
	static struct spinlock vm = SPINLOCK(LOCK_VM), none;

	fake_reset(2);
	CHECK(FAKE_PANICS(spin_unlock(&vm)));
	CHECK(FAKE_PANICS(spin_lock(&none))); // never initialized
}

TEST(a_try_takes_a_free_lock_only)
{
	static struct spinlock vm = SPINLOCK(LOCK_VM), sched = SPINLOCK(LOCK_SCHED);

	fake_reset(2);
	CHECK(spin_trylock(&sched));
	CHECK(!spin_trylock(&sched));
	fake_cpu = pcpus[1];
	CHECK(!spin_trylock(&sched));
	CHECK(spin_trylock(&vm));
	spin_unlock(&vm);
	fake_cpu = pcpus[0];
	spin_unlock(&sched);
	CHECK(spin_trylock(&sched));
	CHECK(FAKE_PANICS(spin_trylock(&vm)));
}

TEST_MAIN()
