// SPDX-License-Identifier: MIT
// Queues of disks that raise no interrupts while requests end one soon after the other.
// link: drivers/block_hot.c kernel/core/timer.c tests/unit/fake/arch.c
#include "drivers/block.h"
#include "tests/unit/test.h"

#define US 1000ull

static struct block_queue queues[2];
static u32 ended[2]; // requests of each that were not taken
static u32 taken, masks, unmasks;
static struct list request[2]; // in flight

static u32 number(const struct block_queue *q)
{
	return q == &queues[1];
}

static bool ready(const struct block_queue *q)
{
	return ended[number(q)];
}

static bool resubmits; // who is told of an end makes another request

static void interrupt(void *queue)
{
	struct block_queue *q = queue;
	u32 n = ended[number(q)];

	ended[number(q)] = 0;
	taken += n;
	if (n && resubmits)
		block_hot_submitted(q);
	if (n)
		block_heat(q);
}

static void mask(struct block_queue *q, bool on)
{
	CHECK_EQ(q->is_hot, on);
	masks += on;
	unmasks += !on;
}

static const struct block_driver driver = {.ready = ready, .interrupt = interrupt, .mask = mask};
static struct block_controller controller = {.driver = &driver};

static void time_goes(u64 us)
{
	for (u64 i = 0; i < us / 50; i++) {
		fake_now += 50 * US;
		timer_run(TIMER_NEVER);
	}
}

static void start(void)
{
	static bool there;

	if (!there) {
		fake_reset(2);
		timer_init_pcpu(pcpus[0]);
		timer_init_pcpu(pcpus[1]);
	}
	for (u32 i = 0; i < 2; i++) {
		fake_cpu = pcpus[i];
		ended[i] = 0;
		time_goes(3000); // what the test before has heated cools down
		this_pcpu()->work = 0;
		CHECK(!queues[i].is_hot);
		queues[i] = (struct block_queue){.controller = &controller};
		list_init(&queues[i].active);
		block_hot_init(&queues[i], pcpus[i]);
	}
	there = true;
	fake_cpu = pcpus[0];
	fake_now += 1000000000;
	taken = masks = unmasks = 0;
}

// Requests end, and their interrupt comes.
static void end(u32 i, u32 n)
{
	ended[i] += n;
	interrupt(&queues[i]);
}

// Two one after the other, and something is in flight all the time.
static void heat(u32 i)
{
	list_init(&request[i]);
	list_init(&queues[i].active);
	list_push_back(&queues[i].active, &request[i]);
	end(i, 1);
	fake_now += 100 * US;
	end(i, 1);
}

TEST(seldom_is_not_hot)
{
	start();
	for (u32 i = 0; i < 10; i++) {
		end(0, 1);
		fake_now += 2500 * US;
		CHECK(!block_look());
	}
	CHECK(!masks && taken == 10);
}

// A guest that waits for each of its requests: an interrupt that comes while it sleeps costs no exit, a timer may.
TEST(one_at_a_time_is_not_hot)
{
	start();
	for (u32 i = 0; i < 10; i++) {
		end(0, 1);
		fake_now += 100 * US;
		CHECK(!block_look());
	}
	CHECK(!masks && taken == 10 && !timer_is_set(&queues[0].look));
}

TEST(often_is_looked_at)
{
	start();
	heat(0);
	CHECK(masks == 1 && taken == 2);
	CHECK(block_look()); // nothing yet: once more
	ended[0] = 3;
	CHECK(block_look() && taken == 5);
	ended[0] = 1;
	time_goes(450); // nobody looks but the timer
	CHECK_EQ(taken, 6);
	CHECK(masks == 1 && !unmasks);
}

TEST(sleeps_when_nothing_is_in_flight)
{
	start();
	heat(0);
	list_remove(queues[0].active.next);
	CHECK(!block_look());
	ended[0] = 1;
	CHECK(!block_look() && taken == 3); // taken all the same
}

TEST(cools_down)
{
	start();
	heat(0);
	time_goes(3000);
	CHECK(masks == 1 && unmasks == 1 && !block_look());
	CHECK(!timer_is_set(&queues[0].look));
	heat(0);
	CHECK_EQ(masks, 2);
}

TEST(cools_down_with_nothing_in_flight)
{
	start();
	heat(0);
	list_remove(queues[0].active.next);
	time_goes(400);
	CHECK(unmasks == 0);
	time_goes(2500);
	CHECK(unmasks == 1 && !timer_is_set(&queues[0].look));
}

// Hot, with nothing in flight any more, and looked at since.
static void heat_and_end(u32 i)
{
	heat(i);
	list_remove(queues[i].active.next);
	time_goes(450);
	CHECK(queues[i].is_hot);
}

// It stays masked meanwhile, and who submitted does not look.
TEST(what_another_cpu_submits_is_found)
{
	start();
	heat_and_end(0);
	list_push_back(&queues[0].active, &request[0]);
	fake_cpu = pcpus[1];
	block_hot_submitted(&queues[0]);
	ended[0] = 1;
	fake_cpu = pcpus[0];
	time_goes(2500);
	CHECK_EQ(taken, 3);
}

// What is submitted while the queue is hot is looked at soon, although nothing was in flight.
TEST(what_is_submitted_is_found_soon)
{
	start();
	heat_and_end(0);
	list_push_back(&queues[0].active, &request[0]);
	block_hot_submitted(&queues[0]);
	ended[0] = 1;
	time_goes(450);
	CHECK(taken == 3 && unmasks == 0);
}

// The look that lets interrupts come again finds something at last, which leads to another request.
TEST(cools_down_while_it_submits)
{
	start();
	heat(0);
	block_hot_submitted(&queues[0]);
	resubmits = true;
	ended[0] = 1;
	fake_now += 3000 * US;
	timer_run(TIMER_NEVER);
	CHECK(unmasks == 1 && taken == 3 && !timer_is_set(&queues[0].look));
	time_goes(1000);
	CHECK_EQ(unmasks, 1);
	resubmits = false;
}

TEST(each_cpu_has_its_own)
{
	start();
	heat(0);
	heat(1); // on another CPU than its own: a message that went astray
	CHECK_EQ(masks, 1);
	fake_cpu = pcpus[1];
	heat(1);
	CHECK_EQ(masks, 2);
	ended[0] = ended[1] = 1;
	taken = 0;
	block_look();
	CHECK(ended[0] == 1 && ended[1] == 0 && taken == 1);
	block_hot_submitted(&queues[0]); // not this CPU's
	CHECK(!this_pcpu()->work);
	fake_cpu = pcpus[0];
	block_hot_submitted(&queues[0]);
	CHECK(this_pcpu()->work == WORK_MODEL);
	this_pcpu()->work = 0;
	block_look();
	CHECK(!ended[0] && taken == 2);
}

TEST(not_every_queue_can)
{
	start();
	queues[0].cpu = NULL;
	heat(0);
	CHECK(!masks && !block_look());
}

TEST_MAIN()
