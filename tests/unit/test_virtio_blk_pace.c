// SPDX-License-Identifier: MIT
// When virtio-blk looks at its queues and tells of what is done: notifications for several requests.
// link: devices/virtio_blk.c devices/virtio_blk_request.c devices/virtio_pace.c
// link: devices/virtio_pci.c devices/virtio_pci_common.c devices/virtio_pci_state.c
// link: devices/virtio.c devices/virtqueue.c devices/pci_config.c devices/msix.c
// link: devices/host_test/host_test.c devices/host_test/host_test_block.c
#include "tests/unit/virtio_blk_rig.h"

// A driver that notifies when the event index asks for it (2.7.10), and reads what is done.
struct reader {
	struct rig *g;
	unsigned q, in_flight, kicks, rests;
	unsigned done;
};

static u16 asked_at(const struct reader *r)
{
	return get16(r->g->h, RING(r->q) + 0x2000 + 4 + 8 * 64);
}

static void reader_collect(struct reader *r)
{
	u32 head, written;

	while (ring_used(&r->g->q[r->q], &head, &written)) {
		CHECK_EQ(written, 513);
		r->in_flight--;
		r->done++;
	}
	// An interrupt for the next one, please.
	put16(r->g->h, RING(r->q) + 0x1000 + 4 + 2 * 64, get16(r->g->h, RING(r->q) + 0x2002));
}

static void reader_put(struct reader *r)
{
	u16 new;

	request_put(r->g, r->q, VIRTIO_BLK_T_IN, r->done % SECTORS, DATA, 512, D_WRITE);
	new = get16(r->g->h, RING(r->q) + 0x1002);
	r->in_flight++;
	if ((u16)(new - asked_at(r) - 1) < 1) {
		r->kicks++;
		driver_kick(&r->g->d, (u16)r->q);
	}
}

// Puts so many, then waits for all of them: by sleeping, if they are not done yet.
static void reader_round(struct reader *r, unsigned depth)
{
	while (r->in_flight < depth)
		reader_put(r);
	reader_collect(r);
	if (!r->in_flight)
		return;
	r->rests++;
	host_test_rest(r->g->h, r->q);
	reader_collect(r);
	CHECK_EQ(r->in_flight, 0);
}

static struct reader reader_create(unsigned queues)
{
	struct reader r = {.g = rig_create(queues)};

	r.g->store->info.immediate = true;
	rig_start(r.g, ALL);
	return r;
}

// A reader that has had 16 in flight for a while.
static struct reader reader_deep(unsigned queues)
{
	struct reader r = reader_create(queues);

	for (unsigned i = 0; i < 100; i++)
		reader_round(&r, 16);
	return r;
}

TEST(one_in_flight_is_notified_each)
{
	struct reader r = reader_create(1);

	for (unsigned i = 0; i < 2000; i++)
		reader_round(&r, 1);
	CHECK_EQ(r.done, 2000);
	CHECK(r.rests >= 2 && r.rests <= 16); // trials, which become rare
	CHECK_EQ(r.kicks, 2000 - r.rests);
	rig_free(r.g);
}

TEST(many_in_flight_are_notified_together)
{
	for (unsigned depth = 2; depth <= 20; depth += 3) {
		struct reader r = reader_create(1);

		for (unsigned i = 0; i < 100; i++)
			reader_round(&r, depth);
		r.kicks = r.rests = 0;
		for (unsigned i = 0; i < 1000; i++)
			reader_round(&r, depth);
		CHECK_EQ(r.done, 1100 * depth);
		CHECK(r.kicks + r.rests <= 1100);
		rig_free(r.g);
	}
}

TEST(who_falls_back_to_one_is_notified_each_again)
{
	struct reader r = reader_deep(1);

	r.kicks = r.rests = 0;
	for (unsigned i = 0; i < 100; i++)
		reader_round(&r, 1);
	CHECK(r.rests <= 4 && r.kicks >= 96);
	rig_free(r.g);
}

TEST(what_is_not_notified_is_seen_in_time)
{
	struct reader r = reader_deep(1);
	u32 msis = r.g->h->msis;

	r.kicks = 0;
	reader_put(&r);
	CHECK_EQ(r.kicks, 0);
	host_test_advance(r.g->h, VIRTIO_BLK_LOOK_NS);
	host_test_advance(r.g->h, VIRTIO_BLK_LOOK_NS - 1);
	reader_collect(&r);
	CHECK_EQ(r.in_flight, 1);
	host_test_advance(r.g->h, 1);
	reader_collect(&r);
	CHECK_EQ(r.in_flight, 0);
	CHECK_EQ(r.g->h->msis, msis + 1);
	// When nothing comes any more the next one is asked for, and no timer runs on.
	host_test_advance(r.g->h, VIRTIO_BLK_LOOK_NS);
	host_test_advance(r.g->h, VIRTIO_BLK_LOOK_NS);
	CHECK(!r.g->b.look.armed && !r.g->h->rest[0]);
	reader_put(&r);
	reader_collect(&r);
	CHECK_EQ(r.kicks, 1);
	CHECK_EQ(r.in_flight, 0);
	rig_free(r.g);
}

TEST(a_vcpu_that_sleeps_is_for_its_queue)
{
	struct reader r = reader_deep(2), other = {.g = r.g, .q = 1};

	r.kicks = 0;
	reader_put(&r);
	CHECK_EQ(r.kicks, 0);
	host_test_rest(r.g->h, 1);
	reader_collect(&r);
	CHECK_EQ(r.in_flight, 1);
	reader_round(&other, 1);
	CHECK_EQ(other.kicks, 1);
	CHECK_EQ(other.done, 1);
	host_test_rest(r.g->h, 2); // vcpus beyond the queues share them
	reader_collect(&r);
	CHECK_EQ(r.in_flight, 0);
	rig_free(r.g);
}

TEST(nothing_is_looked_at_without_leave)
{
	struct reader r = reader_deep(1);
	unsigned n = r.g->sent % 32;

	reader_put(&r);
	virtio_blk_pause(&r.g->b, true);
	host_test_rest(r.g->h, 0);
	CHECK_EQ(status_of(r.g, n), PENDING);
	virtio_blk_pause(&r.g->b, false);
	CHECK_EQ(status_of(r.g, n), VIRTIO_BLK_S_OK);
	reader_collect(&r);

	for (unsigned i = 0; i < 100; i++)
		reader_round(&r, 16);
	n = r.g->sent % 32;
	reader_put(&r);
	cfg_put(&r.g->d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	host_test_rest(r.g->h, 0);
	host_test_advance(r.g->h, VIRTIO_BLK_LOOK_NS);
	host_test_advance(r.g->h, VIRTIO_BLK_LOOK_NS);
	CHECK_EQ(status_of(r.g, n), PENDING);
	cfg_put(&r.g->d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	CHECK_EQ(status_of(r.g, n), VIRTIO_BLK_S_OK);
	reader_collect(&r);

	for (unsigned i = 0; i < 100; i++)
		reader_round(&r, 16);
	CHECK(r.g->h->rest[0]);
	reg_put(&r.g->d, C_STATUS, 1, 0);
	CHECK(!r.g->h->rest[0] && !r.g->b.look.armed);
	rig_free(r.g);
}

// ---- the same before a store that takes its time

// With so many in flight for a while, of which two end at a time.
static struct reader reader_slow(unsigned depth)
{
	struct reader r = {.g = rig_create(1)};

	r.g->store->delay = true;
	rig_start(r.g, ALL);
	for (unsigned i = 0; i < 400; i++) {
		while (r.in_flight < depth)
			reader_put(&r);
		host_test_rest(r.g->h, 0);
		for (unsigned n = MIN(r.g->store->queued, 2u); n; n--)
			host_test_block_finish(r.g->store, 0);
		reader_collect(&r);
	}
	return r;
}

static void reader_end(struct reader *r)
{
	host_test_rest(r->g->h, 0);
	while (r->g->store->queued)
		host_test_block_finish(r->g->store, 0);
	reader_collect(r);
	CHECK_EQ(r->in_flight, 0);
	rig_free(r->g);
}

TEST(what_ends_brings_what_was_put)
{
	struct reader r = reader_slow(16);
	unsigned queued, kicks;

	while (r.in_flight < 16)
		reader_put(&r);
	host_test_rest(r.g->h, 0);
	r.g->b.pace[0].goal = 16; // notify of the 8th
	host_test_block_finish(r.g->store, 0);
	reader_collect(&r);
	queued = r.g->store->queued;
	reader_put(&r);
	r.g->b.unasked = 1;
	host_test_block_finish(r.g->store, 0);
	CHECK_EQ(r.g->store->queued, queued); // one less, one more
	// No timer runs while something is in flight, as its end is as good.
	CHECK(!r.g->b.look.armed);
	kicks = r.kicks;
	for (unsigned i = 0; i < 100; i++) {
		while (r.in_flight < 16)
			reader_put(&r);
		host_test_rest(r.g->h, 0);
		for (unsigned n = 0; n < 8; n++)
			host_test_block_finish(r.g->store, 0);
		reader_collect(&r);
	}
	CHECK(r.kicks - kicks <= 200); // of 800 requests
	reader_end(&r);
}

TEST(a_slow_store_with_one_request_is_told_of_it)
{
	struct reader r = {.g = rig_create(1)};
	unsigned unseen = 0;

	r.g->store->delay = true;
	rig_start(r.g, ALL);
	for (unsigned i = 0; i < 1000; i++) {
		reader_put(&r);
		unseen += !r.g->store->queued;
		host_test_rest(r.g->h, 0);
		CHECK_EQ(r.g->store->queued, 1);
		host_test_block_finish(r.g->store, 0);
		reader_collect(&r);
		CHECK_EQ(r.in_flight, 0);
	}
	CHECK(unseen <= 40);
	CHECK(r.kicks >= 960);
	reader_end(&r);
}

TEST(without_the_event_index_each_is_notified)
{
	struct reader r = {.g = rig_create(1)};

	r.g->store->info.immediate = true;
	rig_start(r.g, ALL & ~VIRTIO_F_EVENT_IDX);
	for (unsigned i = 0; i < 500; i++) {
		CHECK_EQ(get16(r.g->h, RING(0) + 0x2000) & 1, 0); // notifications are on
		CHECK_EQ(request_now(r.g, VIRTIO_BLK_T_IN, 0, DATA, 512, D_WRITE), VIRTIO_BLK_S_OK);
	}
	rig_free(r.g);
}

// Each queue has its own goal; together they are within what a call may do.
TEST(goals_stay_within_their_bounds)
{
	struct virtio_pace p;

	virtio_pace_reset(&p, VIRTIO_BLK_GOAL_MAX, VIRTIO_BLK_PATIENCE);
	for (unsigned i = 0; i < 100000; i++) {
		unsigned goal = p.goal;

		CHECK(goal >= 1 && goal <= VIRTIO_BLK_GOAL_MAX);
		CHECK(p.patience <= VIRTIO_PACE_PATIENCE_MAX);
		for (unsigned n = i % 40; n; n--)
			virtio_pace_took(&p);
		if (i % 7 == 3) {
			virtio_pace_late(&p, (u16)(i % 50));
			CHECK(p.goal <= goal);
		} else if (i % 11 == 3) {
			virtio_pace_slept(&p, (u16)(i % 256));
		} else {
			virtio_pace_reached(&p);
			CHECK(p.goal >= goal);
		}
	}
}

TEST_MAIN()
