// SPDX-License-Identifier: MIT
// Tests of the timers.
// link: kernel/core/timer.c tests/unit/fake/arch.c
#include "tests/unit/test.h"
#include "kernel/core/log.h"
#include "kernel/core/timer.h"

static struct timer t[200];
static unsigned fired[200], order[400], order_count;
static void (*hook)(struct timer *);

static void on_fire(struct timer *timer)
{
	fired[timer - t]++;
	order[order_count++] = (unsigned)(timer - t);
	if (hook)
		hook(timer);
}

static void start(u32 cpus)
{
	fake_reset(cpus);
	for (u32 i = 0; i < cpus; i++)
		timer_init_pcpu(pcpus[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++)
		timer_init(&t[i], on_fire);
	memset(fired, 0, sizeof(fired));
	order_count = 0;
	hook = NULL;
}

TEST(fires_once_in_order)
{
	start(1);
	timer_set(&t[0], 300);
	timer_set(&t[1], 100);
	timer_set(&t[2], 200);
	timer_set(&t[3], 100);
	CHECK_EQ(fake_armed[0], 100);
	CHECK(timer_is_set(&t[0]));
	timer_run(TIMER_NEVER);
	CHECK_EQ(order_count, 0);
	fake_now = 250;
	timer_run(TIMER_NEVER);
	CHECK_EQ(order_count, 3);
	CHECK(order[0] == 1 && order[1] == 3 && order[2] == 2);
	CHECK_EQ(fake_armed[0], 300);
	CHECK(!timer_is_set(&t[1]));
	fake_now = 299;
	timer_run(TIMER_NEVER);
	CHECK_EQ(order_count, 3);
	fake_now = 300;
	timer_run(TIMER_NEVER);
	CHECK_EQ(order_count, 4);
	CHECK_EQ(fake_armed[0], TIMER_NEVER);
}

TEST(also_and_no_needless_arming)
{
	u64 arms;

	start(1);
	timer_run(500);
	CHECK_EQ(fake_armed[0], 500);
	timer_set(&t[0], 700);
	CHECK_EQ(fake_armed[0], 500);
	arms = fake_arms;
	timer_run(500);
	CHECK_EQ(fake_arms, arms);
	timer_run(TIMER_NEVER);
	CHECK_EQ(fake_armed[0], 700);
	timer_cancel(&t[0]);
	CHECK_EQ(fake_armed[0], 700); // early is harmless, the hardware is left alone
	timer_run(TIMER_NEVER);
	CHECK_EQ(fake_armed[0], TIMER_NEVER);
}

TEST(moves_between_cpus)
{
	start(2);
	timer_set(&t[0], 100);
	fake_cpu = pcpus[1];
	timer_set(&t[0], 50);
	CHECK(list_empty(&pcpus[0]->timers));
	fake_now = 100;
	fake_cpu = pcpus[0];
	timer_run(TIMER_NEVER);
	CHECK_EQ(fired[0], 0);
	fake_cpu = pcpus[1];
	timer_run(TIMER_NEVER);
	CHECK_EQ(fired[0], 1);
}

TEST(cancel_from_another_cpu)
{
	start(2);
	timer_set(&t[0], 100);
	timer_set(&t[1], 100);
	fake_cpu = pcpus[1];
	timer_cancel(&t[0]);
	timer_cancel(&t[0]);
	timer_cancel_sync(&t[0]);
	fake_cpu = pcpus[0];
	fake_now = 100;
	timer_run(TIMER_NEVER);
	CHECK_EQ(fired[0], 0);
	CHECK_EQ(fired[1], 1);
}

static void set_again(struct timer *timer)
{
	timer_set(timer, fake_now + 10);
}

TEST(may_set_itself_again)
{
	start(1);
	hook = set_again;
	timer_set(&t[0], 10);
	for (fake_now = 0; fake_now <= 100; fake_now++)
		timer_run(TIMER_NEVER);
	CHECK_EQ(fired[0], 10);
	CHECK_EQ(fake_armed[0], 110);
}

static void set_past(struct timer *timer)
{
	timer_set(timer, 1);
}

TEST(bounded_work)
{
	start(1);
	hook = set_past;
	fake_now = 100;
	timer_set(&t[0], 5);
	timer_run(TIMER_NEVER);
	CHECK_EQ(fired[0], 64);
	CHECK_EQ(fake_armed[0], 1); // in the past: fires at once
	start(1);
	fake_now = 1000;
	for (unsigned i = 0; i < 200; i++)
		timer_set(&t[i], 500 - i);
	timer_run(TIMER_NEVER);
	CHECK_EQ(order_count, 64);
	CHECK(fake_armed[0] < 1000);
	timer_run(TIMER_NEVER);
	timer_run(TIMER_NEVER);
	timer_run(TIMER_NEVER);
	CHECK_EQ(order_count, 200);
	for (unsigned i = 0; i < 200; i++)
		CHECK_EQ(order[i], 199 - i);
}

// While t[0] fires on CPU 0, CPU 1 waits in timer_cancel_sync until it has ended.
static unsigned spins;
static bool cancelled;

static void cancel_on_cpu1(struct timer *timer)
{
	CHECK(timer->firing == pcpus[0]);
	fake_cpu = pcpus[1];
	timer_cancel(timer); // does not wait
	CHECK(!timer_is_set(timer));
	cancelled = true;
	fake_cpu = pcpus[0];
}

static void end_of_firing(void)
{
	spins++;
	atomic_store(&t[0].firing, NULL);
}

TEST(cancel_sync_waits)
{
	start(2);
	hook = cancel_on_cpu1;
	timer_set(&t[0], 10);
	fake_now = 10;
	timer_run(TIMER_NEVER);
	CHECK(cancelled);
	CHECK(t[0].firing == NULL);

	t[0].firing = pcpus[0];
	fake_cpu = pcpus[1];
	fake_relax = end_of_firing;
	spins = 0;
	timer_cancel_sync(&t[0]);
	CHECK_EQ(spins, 1);
	t[0].firing = pcpus[1]; // called from its own fn: must not wait for itself
	timer_cancel_sync(&t[0]);
	CHECK_EQ(spins, 1);
}

// Set again on CPU 1 while it still fires on CPU 0: CPU 1 may not run it at the same time.
TEST(never_fires_on_two_cpus)
{
	start(2);
	t[0].firing = pcpus[0];
	fake_cpu = pcpus[1];
	timer_set(&t[0], 10);
	fake_now = 10;
	fake_relax = end_of_firing;
	spins = 0;
	timer_run(TIMER_NEVER);
	CHECK_EQ(spins, 1);
	CHECK_EQ(fired[0], 1);
}

TEST_MAIN()
