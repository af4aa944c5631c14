// SPDX-License-Identifier: MIT
// A queue that another process had run: with a log, without, and with a log or rings that are nonsense.
// link: devices/virtqueue.c devices/host_test/host_test.c
#include "tests/unit/test.h"
#include "tests/unit/virtio_driver.h"

#define DESC   0x1000u
#define DRIVER 0x2000u
#define DEVICE 0x3000u
#define DATA   0x8000u
#define SIZE   8u

static struct host_segment segs[VIRTQUEUE_MAX];
static struct virtqueue_chain chain = {.seg = segs, .max = VIRTQUEUE_MAX};

struct rig {
	struct host *h;
	struct ring r;
	struct virtqueue q;
	struct virtqueue_log log;
};

static void queue_open(struct rig *g)
{
	virtqueue_reset(&g->q, g->h, SIZE);
	g->q.s.desc = DESC;
	g->q.s.driver = DRIVER;
	g->q.s.device = DEVICE;
	g->q.log = &g->log;
	virtqueue_enable(&g->q);
}

static struct rig *rig_create(void)
{
	struct rig *g = calloc(1, sizeof(*g));

	if (!g)
		abort();
	g->h = host_test_create();
	g->r = (struct ring){
		.host = g->h, .desc = DESC, .driver = DRIVER, .device = DEVICE, .size = SIZE};
	queue_open(g);
	return g;
}

static void rig_free(struct rig *g)
{
	host_test_destroy(g->h);
	free(g);
}

// Takes the next chain; its head, or 0xffff.
static u16 take(struct rig *g)
{
	if (!virtqueue_peek(&g->q, &chain))
		return 0xffff;
	virtqueue_next(&g->q);
	return chain.head;
}

// Four chains, 0 to 3, of which 0 to 2 were taken and 1 came back; then another process.
static struct rig *rig_resumed(bool event_idx)
{
	struct rig *g = rig_create();

	g->q.event_idx = event_idx;
	for (unsigned i = 0; i < 4; i++)
		ring_add(&g->r, DATA + 16 * i, 16, 0);
	for (u16 i = 0; i < 3; i++)
		CHECK_EQ(take(g), i);
	virtqueue_push(&g->q, 1, 7);
	virtqueue_set_kicks(&g->q, false);
	queue_open(g);
	g->q.event_idx = event_idx;
	virtqueue_resume(&g->q);
	return g;
}

TEST(what_was_out_comes_first)
{
	static const u32 order[] = {1, 3, 0, 2};
	struct rig *g = rig_resumed(false);
	u32 head, len;

	CHECK_EQ(g->log.taken[0], 5);
	CHECK_EQ(g->log.giving, 0);
	CHECK(g->q.owed && !g->q.broken);
	CHECK_EQ(g->q.s.next_used, 1);
	CHECK_EQ(virtqueue_available(&g->q), 3);
	CHECK(virtqueue_peek(&g->q, &chain) && chain.head == 0);
	CHECK(virtqueue_peek(&g->q, &chain) && chain.head == 0); // it was not taken
	CHECK_EQ(take(g), 0);
	CHECK_EQ(virtqueue_available(&g->q), 2);
	CHECK_EQ(take(g), 2);
	CHECK_EQ(segs[0].gpa, DATA + 32);
	CHECK_EQ(g->log.taken[0], 5);
	CHECK_EQ(take(g), 3);
	CHECK_EQ(g->log.taken[0], 0xd);
	CHECK_EQ(take(g), 0xffff);
	virtqueue_push(&g->q, 3, 1);
	virtqueue_push(&g->q, 0, 2);
	virtqueue_push(&g->q, 2, 3);
	CHECK_EQ(g->log.taken[0], 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK(ring_used(&g->r, &head, &len) && head == order[i]);
	CHECK(!ring_used(&g->r, &head, &len) && !g->q.broken);
	rig_free(g);
}

TEST(notifications_are_on)
{
	struct rig *g = rig_resumed(false);

	CHECK_EQ(used_flags_of(&g->r), 0);
	rig_free(g);
	g = rig_resumed(true);
	CHECK_EQ(avail_event_of(&g->r), 3);
	CHECK(virtqueue_await(&g->q, 2)); // two are to be taken again, one is new
	CHECK_EQ(avail_event_of(&g->r), 3);
	CHECK(!virtqueue_await(&g->q, 3));
	CHECK_EQ(avail_event_of(&g->r), 4);
	rig_free(g);
}

// As the net, the console and others are: chains that are given back in order.
TEST(without_a_log_the_used_index_tells)
{
	struct rig *g = rig_create();

	g->q.log = NULL;
	for (unsigned i = 0; i < 4; i++)
		ring_add(&g->r, DATA, 16, 0);
	CHECK_EQ(take(g), 0);
	virtqueue_push(&g->q, 0, 0);
	CHECK_EQ(take(g), 1);
	queue_open(g);
	g->q.log = NULL;
	virtqueue_resume(&g->q);
	CHECK_EQ(virtqueue_available(&g->q), 3);
	for (u16 i = 1; i < 4; i++)
		CHECK_EQ(take(g), i);
	CHECK(g->q.owed && !g->q.redo);
	rig_free(g);
}

TEST(several_go_back_at_once)
{
	static const u16 head[] = {2, 0, 1};
	static const u32 written[] = {5, 6, 7};
	struct rig *g = rig_create();
	u32 h, len;

	g->q.log = NULL;
	g->r.used_seen = g->q.s.next_used = g->q.s.signalled =
		0xfffe; // over the end of the ring and of the index
	virtqueue_push_all(&g->q, head, written, 3);
	CHECK_EQ(get16(g->h, DEVICE + 2), 1);
	for (unsigned i = 0; i < 3; i++)
		CHECK(ring_used(&g->r, &h, &len) && h == head[i] && len == written[i]);
	CHECK_EQ(virtqueue_untold(&g->q), 3);
	g->q.broken = "test";
	virtqueue_push_all(&g->q, head, written, 3);
	CHECK_EQ(get16(g->h, DEVICE + 2), 1);
	rig_free(g);
}

TEST(indexes_wrap)
{
	struct rig *g = rig_create();
	unsigned bad = 0;
	u32 head, len;

	for (unsigned i = 0; i < 66000; i++) {
		ring_add(&g->r, DATA, 16, 0);
		bad += take(g) != i % SIZE;
		queue_open(g);
		virtqueue_resume(&g->q);
		bad += take(g) != i % SIZE || take(g) != 0xffff;
		virtqueue_push(&g->q, (u16)(i % SIZE), 0);
		bad += !ring_used(&g->r, &head, &len) || head != i % SIZE;
	}
	CHECK_EQ(bad, 0);
	rig_free(g);
}

TEST(a_head_that_is_out_is_not_taken)
{
	struct rig *g = rig_create();

	ring_add(&g->r, DATA, 16, 0);
	ring_publish(&g->r, 0);
	CHECK_EQ(take(g), 0);
	CHECK_EQ(take(g), 0xffff);
	CHECK(g->q.broken);
	rig_free(g);
}

TEST(logs_of_nonsense)
{
	static const struct {
		struct virtqueue_log log;
		u16 used, avail;
		bool broken; // at once, or when it is looked at
	} tries[] = {
		{{.taken = {0x100}}, 0, 0, true},                      // no head of the queue
		{{.taken = {0, 0, 0, 1}}, 0, 0, true},                 //
		{{.giving = 1}, 0, 0, true},                           // no flag
		{{.giving = VIRTQUEUE_GIVING * 2}, 0, 0, true},        //
		{{.giving = VIRTQUEUE_GIVING | 8 << 16}, 1, 1, true},  // no head of the queue
		{{.giving = VIRTQUEUE_GIVING | 7 << 16}, 1, 1, false}, // given back
		{{.taken = {0xff}}, 0, 8, false},
		{{.taken = {0xff}}, 0, 9, true}, // more than it holds
		{{.taken = {0x0f}}, 0, 9, true}, //
		{{.taken = {0x01}}, 5, 5, true}, // more out than there were
		{{.taken = {0x00}}, 9, 5, true}, //
		{{.taken = {0x03}}, 0xffff, 1, false},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(tries); i++) {
		struct rig *g = rig_create();
		unsigned n = 0;

		g->log = tries[i].log;
		put16(g->h, DEVICE + 2, tries[i].used);
		put16(g->h, DRIVER + 2, tries[i].avail);
		virtqueue_resume(&g->q);
		while (n <= SIZE && take(g) != 0xffff)
			n++;
		if ((g->q.broken != NULL) != tries[i].broken || n > SIZE)
			printf("try %u: %s\n", i, g->q.broken ? g->q.broken : "taken");
		CHECK_EQ(g->q.broken != NULL, tries[i].broken);
		CHECK(n <= SIZE);
		rig_free(g);
	}
}

TEST(a_chain_changed_meanwhile_is_checked_again)
{
	struct rig *g = rig_resumed(false);

	desc_put(g->h, DESC, 0, DATA, 16, D_NEXT, 99);
	CHECK_EQ(take(g), 0xffff);
	CHECK(g->q.broken);
	rig_free(g);
}

TEST(a_log_of_another_life)
{
	struct virtqueue_log log = {.taken = {1, 2, 3, 4}, .giving = 5, .life = 6};

	CHECK(virtqueue_log_begin(&log, 6));
	CHECK_EQ(log.taken[3], 4);
	CHECK(!virtqueue_log_begin(&log, 7));
	CHECK(!log.taken[0] && !log.taken[1] && !log.taken[2] && !log.taken[3] && !log.giving);
	CHECK(virtqueue_log_begin(&log, 7));
}

TEST_MAIN()
