// SPDX-License-Identifier: MIT
// Waiting in the guest's stead, as for a disk of the machine: when it is done, and what ends it.
// link: kernel/mono/guest_wait.c kernel/core/timer.c tests/unit/fake/arch.c
#include "tests/unit/test.h"
#include "kernel/core/model.h"
#include "kernel/core/pcpu.h"
#include "kernel/core/timer.h"
#include "kernel/mono/guest_wait.h"
#include "kernel/vm/vm.h"

#define SEC 1000000000ull

static struct vm vm;
static struct vcpu vcpu;
static struct host *const host = (struct host *)&vm; // only handed on
static struct guest_wait wait;
static struct host_timer *timer; // that is set
static struct host_rest *rest;   // that is on
static unsigned told, idles;
static void (*at_idle)(void); // what comes while the CPU halts

// ---------------------------------------------------------------- the host

void host_timer_init(struct host *h, struct host_timer *t, void (*fn)(struct host_timer *))
{
	CHECK(h == host);
	*t = (struct host_timer){.fn = fn, .host = h};
}

void host_timer_set(struct host_timer *t, u64 delay_ns)
{
	CHECK_EQ(delay_ns, GUEST_WAIT_HOLD_NS);
	timer = t;
}

void host_timer_cancel(struct host_timer *t)
{
	CHECK(t == &wait.timer);
	timer = NULL;
}

void host_timer_destroy(struct host_timer *t)
{
	host_timer_cancel(t);
}

void host_rest_set(struct host *h, struct host_rest *r, bool on)
{
	CHECK(h == host);
	rest = on ? r : NULL;
}

static void tell(struct guest_wait *w)
{
	CHECK(w == &wait);
	told++;
}

static bool hot; // the model looks instead of sleeping

bool model_idle(void)
{
	if (hot) {
		idles++;
		CHECK(vcpu.in_guest && this_pcpu()->current == &vcpu);
		fake_now += 1000;
		if (at_idle)
			at_idle();
	}
	return hot;
}

static void idle(void)
{
	idles++;
	CHECK(vcpu.in_guest && this_pcpu()->current == &vcpu);
	if (at_idle)
		at_idle();
}

static void start(void)
{
	if (!this_pcpu()) {
		fake_reset(1);
		timer_init_pcpu(this_pcpu());
	}
	fake_now += SEC; // the bound of the test before is over
	timer_run(TIMER_NEVER);
	this_pcpu()->work = 0;
	fake_idle = idle;
	vm = (struct vm){.id = 1};
	vcpu = (struct vcpu){.vm = &vm, .sched.endless = true};
	this_pcpu()->running = &vcpu.sched;
	at_idle = NULL;
	hot = false;
	timer = NULL;
	rest = NULL;
	told = idles = 0;
	guest_wait_init(&wait, &vm, host, GUEST_WAIT_NS, tell);
}

// ---------------------------------------------------------------- the guest

// The guest makes `n` requests; whether the CPU is to wait for them.
static bool asks(unsigned n)
{
	bool posted;

	this_pcpu()->current = &vcpu;
	for (unsigned i = 0; i < n; i++)
		guest_wait_begin(&wait);
	guest_wait_commit(&wait);
	this_pcpu()->current = NULL;
	posted = this_pcpu()->work & WORK_MODEL;
	this_pcpu()->work = 0;
	return posted;
}

static void answered(void)
{
	guest_wait_end(&wait);
}

static void sleeps(void)
{
	CHECK(rest == &wait.rest);
	if (rest)
		rest->fn(rest, 0);
}

// A guest that sleeps after each request, until that is believed, and once more: the first look at a run.
static void gain_trust(void)
{
	for (unsigned i = 0; i <= GUEST_WAIT_TRUST; i++) {
		CHECK(!asks(1));
		sleeps();
		answered();
		CHECK(!guest_wait_hold(&wait));
	}
}

TEST(waits_for_a_guest_that_sleeps)
{
	start();
	gain_trust();
	at_idle = answered;
	for (unsigned i = 0; i < GUEST_WAIT_RUN; i++) {
		CHECK(asks(1));
		guest_wait_work();
		CHECK_EQ(idles, i + 1);
		CHECK(!vcpu.in_guest && !this_pcpu()->current);
		CHECK(!guest_wait_hold(&wait)); // it is told at once
	}
	CHECK(!asks(1)); // now and then it is watched again
	CHECK(rest == &wait.rest);
}

TEST(does_not_wait_for_a_guest_that_works)
{
	start();
	for (unsigned i = 0; i < 3; i++) {
		CHECK(!asks(1));
		answered();
		CHECK(guest_wait_hold(&wait)); // does it sleep?
		CHECK(timer == &wait.timer);
		timer->fn(timer);
		CHECK_EQ(told, i + 1);
		CHECK(!rest && !wait.held);
		for (unsigned n = 0; n < GUEST_WAIT_PATIENCE_MIN << i; n++) { // longer each time
			CHECK(!asks(1));
			CHECK(!rest);
			answered();
			CHECK(!guest_wait_hold(&wait));
		}
	}
}

TEST(tells_a_guest_that_goes_to_sleep_later)
{
	start();
	CHECK(!asks(1));
	answered();
	CHECK(guest_wait_hold(&wait));
	CHECK_EQ(told, 0);
	sleeps();
	CHECK_EQ(told, 1);
	CHECK(!timer);
	CHECK_EQ(wait.trust, 1);
}

// Although the guest, which was not told yet, makes another request that may take long.
TEST(what_is_held_is_told_in_its_time)
{
	start();
	CHECK(!asks(1));
	answered();
	CHECK(guest_wait_hold(&wait));
	CHECK(!asks(1));
	CHECK(timer == &wait.timer);
	timer->fn(timer);
	CHECK_EQ(told, 1);
	answered();
	CHECK(!guest_wait_hold(&wait));
}

TEST(several_requests_are_not_waited_for)
{
	start();
	gain_trust();
	CHECK(!asks(2));
	CHECK(!asks(1)); // two are still there
	CHECK(!rest);
}

static void event(void)
{
	vcpu.events = 1;
}

static void work(void)
{
	this_pcpu()->work = WORK_RESCHED;
}

static void late(void)
{
	fake_now += GUEST_WAIT_NS;
	work();
}

TEST(anything_ends_the_wait)
{
	void (*const ends[])(void) = {event, work};

	for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
		start();
		gain_trust();
		at_idle = ends[i];
		CHECK(asks(1));
		guest_wait_work();
		CHECK_EQ(idles, 1);
		CHECK_EQ(wait.in_flight, 1);
		CHECK_EQ(wait.hold, 0); // it was not the disk's fault
	}
}

static void work_timer_once(void)
{
	at_idle = answered;
	this_pcpu()->work = WORK_TIMER;
}

// Timers are run, and then it goes on.
TEST(timers_do_not_end_the_wait)
{
	start();
	gain_trust();
	at_idle = work_timer_once;
	CHECK(asks(1));
	guest_wait_work();
	CHECK(idles == 2 && !wait.in_flight && !this_pcpu()->work);
}

// Where the model looks for what is to come nothing sleeps, and the time is up when it is.
TEST(looks_instead_of_sleeping)
{
	start();
	gain_trust();
	hot = true;
	CHECK(asks(1));
	guest_wait_work();
	CHECK_EQ(idles, GUEST_WAIT_NS / 1000);
	CHECK(wait.hold);
	answered();
	start();
	gain_trust();
	hot = true;
	at_idle = answered;
	CHECK(asks(1));
	guest_wait_work();
	CHECK(idles == 1 && !wait.hold);
}

// A second request in the same exit: whoever sends many has something to do.
TEST(a_second_request_ends_it)
{
	start();
	gain_trust();
	this_pcpu()->current = &vcpu;
	for (unsigned i = 0; i < 2; i++) {
		guest_wait_begin(&wait);
		guest_wait_commit(&wait);
	}
	this_pcpu()->current = NULL;
	guest_wait_work();
	CHECK_EQ(idles, 0);
	answered();
	answered();
}

TEST(others_who_want_the_cpu_get_it)
{
	start();
	gain_trust();
	CHECK(asks(1));
	vcpu.sched.endless = false;
	guest_wait_work();
	CHECK_EQ(idles, 0);
	vcpu.sched.endless = true;
	guest_wait_work(); // the chance is gone
	CHECK_EQ(idles, 0);
}

TEST(the_wait_is_bounded_and_a_slow_disk_left_alone)
{
	start();
	gain_trust();
	at_idle = late;
	CHECK(asks(1));
	guest_wait_work();
	CHECK_EQ(idles, 1);
	CHECK(fake_armed[0] <= fake_now + GUEST_WAIT_NS); // twice as long since it began
	this_pcpu()->work = 0;
	answered();
	for (unsigned n = 0; n < GUEST_WAIT_PATIENCE_MIN; n++) {
		CHECK(!asks(1));
		answered();
	}
	CHECK(asks(1)); // then it is tried again
	answered();
}

TEST(requests_of_nobody_here_are_not_waited_for)
{
	start();
	gain_trust();
	guest_wait_begin(&wait); // by a timer of the device
	guest_wait_commit(&wait);
	CHECK(!(this_pcpu()->work & WORK_MODEL) && !rest);
	answered();
	vcpu.halted = true; // its vcpu sleeps already
	CHECK(!asks(1));
	guest_wait_destroy(&wait);
}

TEST_MAIN()
