// SPDX-License-Identifier: MIT
// The ring walk with a well-behaved driver and with a hostile one.
// link: devices/virtqueue.c devices/host_test/host_test.c
#include "tests/unit/test.h"
#include "tests/unit/virtio_driver.h"

#define DESC   0x1000u
#define DRIVER 0x2000u
#define DEVICE 0x3000u
#define TABLE  0x4000u // indirect
#define DATA   0x8000u

static struct host_segment segs[VIRTQUEUE_MAX];
static struct virtqueue_chain chain = {.seg = segs, .max = VIRTQUEUE_MAX};

static struct virtqueue queue_at(
	struct ring *r, struct host *h, u16 size, u64 desc, u64 driver, u64 device)
{
	struct virtqueue q;

	*r = (struct ring){
		.host = h, .desc = desc, .driver = driver, .device = device, .size = size};
	virtqueue_reset(&q, h, size);
	q.s.desc = desc;
	q.s.driver = driver;
	q.s.device = device;
	q.indirect = true;
	virtqueue_enable(&q);
	return q;
}

static struct virtqueue queue_make(struct ring *r, struct host *h, u16 size)
{
	return queue_at(r, h, size, DESC, DRIVER, DEVICE);
}

TEST(chain_is_copied_and_split)
{
	struct host *h = host_test_create();
	struct ring r;
	struct virtqueue q = queue_make(&r, h, 8);
	u32 head, len;
	char buf[16] = "";

	CHECK(!virtqueue_peek(&q, &chain));
	memcpy(at(h, DATA, 5), "hello", 5);
	memcpy(at(h, DATA + 0x100, 6), " world", 6);
	desc_put(h, DESC, 5, DATA, 5, D_NEXT, 2);
	desc_put(h, DESC, 2, DATA + 0x100, 6, D_NEXT, 7);
	desc_put(h, DESC, 7, DATA + 0x200, 64, D_WRITE, 0);
	ring_publish(&r, 5);
	CHECK(virtqueue_peek(&q, &chain));
	CHECK_EQ(chain.head, 5);
	CHECK_EQ(chain.segs, 3);
	CHECK_EQ(chain.readable, 2);
	CHECK_EQ(chain.read_bytes, 11);
	CHECK_EQ(chain.write_bytes, 64);
	CHECK_EQ(virtqueue_read(&q, &chain, 0, buf, sizeof(buf)), 11);
	CHECK(!memcmp(buf, "hello world", 11));
	CHECK_EQ(virtqueue_read(&q, &chain, 3, buf, 4), 4);
	CHECK(!memcmp(buf, "lo w", 4));
	CHECK_EQ(virtqueue_read(&q, &chain, 11, buf, 4), 0);
	CHECK_EQ(virtqueue_write(&q, &chain, 60, "abcdefgh", 8), 4);
	CHECK(!memcmp(at(h, DATA + 0x200 + 60, 4), "abcd", 4));
	virtqueue_next(&q);
	CHECK(!virtqueue_peek(&q, &chain));
	CHECK(!ring_used(&r, &head, &len));
	virtqueue_push(&q, 5, 64);
	CHECK(ring_used(&r, &head, &len));
	CHECK_EQ(head, 5);
	CHECK_EQ(len, 64);
	CHECK(!q.broken);
	host_test_destroy(h);
}

TEST(indexes_wrap)
{
	struct host *h = host_test_create();
	struct ring r;
	struct virtqueue q = queue_make(&r, h, 4);
	unsigned bad = 0;

	for (unsigned i = 0; i < 70000; i++) {
		u16 head = ring_add(&r, DATA, 16, 0);
		u32 used, len;

		bad += !virtqueue_peek(&q, &chain) || chain.head != head;
		virtqueue_next(&q);
		virtqueue_push(&q, chain.head, i);
		bad += !ring_used(&r, &used, &len) || used != head || len != i;
	}
	CHECK_EQ(bad, 0);
	CHECK(!q.broken);
	host_test_destroy(h);
}

// The largest rings at every alignment that is allowed, so that entries straddle two pages.
TEST(rings_straddle_pages)
{
	struct host *h = host_test_create();
	unsigned bad = 0;

	for (unsigned shift = 0; shift < PAGE_SIZE; shift += 4) {
		struct ring r;
		struct virtqueue q = queue_at(
			&r, h, 256, 0x1000 + ALIGN_DOWN(shift, 16), 0x4000 + shift, 0x7000 + shift);
		u32 head, len;

		for (u64 i = 0; i < HOST_TEST_HOLE; i++)
			memset(h->page[i], 0, PAGE_SIZE);
		bad += q.broken != NULL;
		for (unsigned i = 0; i < 256; i++)
			ring_add(&r, DATA + 16 * i, i, i & 1 ? D_WRITE : 0);
		for (unsigned i = 0; i < 256; i++) {
			bad += !virtqueue_peek(&q, &chain) || chain.head != i || segs[0].len != i ||
			       segs[0].gpa != DATA + 16 * i;
			virtqueue_next(&q);
			virtqueue_push(&q, chain.head, 3 * i);
		}
		for (unsigned i = 0; i < 256; i++)
			bad += !ring_used(&r, &head, &len) || head != i || len != 3 * i;
	}
	CHECK_EQ(bad, 0);
	host_test_destroy(h);
}

TEST(indirect_table)
{
	struct host *h = host_test_create();
	u64 tables[] = {TABLE, TABLE + 0xff0, TABLE + 0xfe8}; // straddling, and not aligned at all

	for (unsigned t = 0; t < ARRAY_SIZE(tables); t++) {
		struct ring r;
		struct virtqueue q;

		host_test_clear(h);
		q = queue_make(&r, h, 8);
		for (u16 i = 0; i < 3; i++) {
			u64 d = tables[t] + 16ull * i;
			u64 addr = DATA + 0x100ull * i;
			u32 n = 32;
			u16 flags = i == 2 ? D_WRITE : D_NEXT, next = (u16)(i + 1);

			host_guest_write(h, d, &addr, 8);
			host_guest_write(h, d + 8, &n, 4);
			host_guest_write(h, d + 12, &flags, 2);
			host_guest_write(h, d + 14, &next, 2);
		}
		// A plain descriptor may stand before the indirect one (2.7.5.3.2).
		desc_put(h, DESC, 0, DATA + 0x800, 16, D_NEXT, 4);
		desc_put(h, DESC, 4, tables[t], 48, D_INDIRECT | D_WRITE, 0);
		ring_publish(&r, 0);
		CHECK(virtqueue_peek(&q, &chain));
		CHECK_EQ(chain.segs, 4);
		CHECK_EQ(chain.readable, 3);
		CHECK_EQ(segs[3].gpa, DATA + 0x200);
		CHECK(!q.broken);
	}
	host_test_destroy(h);
}

TEST(interrupt_by_flag)
{
	struct host *h = host_test_create();
	struct ring r;
	struct virtqueue q = queue_make(&r, h, 8);

	CHECK(!virtqueue_wants_interrupt(&q)); // nothing was pushed
	virtqueue_push(&q, 0, 0);
	CHECK(virtqueue_wants_interrupt(&q));
	CHECK(!virtqueue_wants_interrupt(&q)); // asked already
	put16(h, DRIVER, 1);
	virtqueue_push(&q, 0, 0);
	CHECK(!virtqueue_wants_interrupt(&q));
	CHECK(!virtqueue_set_kicks(&q, false));
	CHECK_EQ(used_flags_of(&r), 1);
	CHECK(!virtqueue_set_kicks(&q, true));
	CHECK_EQ(used_flags_of(&r), 0);
	ring_add(&r, DATA, 1, 0);
	CHECK(virtqueue_set_kicks(&q, true)); // it came in between
	host_test_destroy(h);
}

TEST(interrupt_by_event_index)
{
	struct host *h = host_test_create();
	struct ring r;
	struct virtqueue q = queue_make(&r, h, 8);
	unsigned count = 0;

	q.event_idx = true;
	put16(h, DRIVER, 1); // the flag has no meaning now
	used_event_set(&r, 2);
	for (unsigned i = 0; i < 6; i++) {
		virtqueue_push(&q, 0, 0);
		count += virtqueue_wants_interrupt(&q);
	}
	CHECK_EQ(count, 1); // when the index passed 2
	CHECK_EQ(q.s.next_used, 6);
	used_event_set(&r, 7);
	for (unsigned i = 0; i < 3; i++)
		virtqueue_push(&q, 0, 0);
	CHECK(virtqueue_wants_interrupt(&q)); // a batch over it
	ring_add(&r, DATA, 1, 0);
	CHECK(virtqueue_peek(&q, &chain));
	virtqueue_next(&q);
	CHECK(!virtqueue_set_kicks(&q, true));
	CHECK_EQ(avail_event_of(&r), 1);
	host_test_destroy(h);
}

// What a driver may not do, one by one: the queue breaks, and nothing more comes out of it.
struct evil {
	const char *what;
	void (*fn)(struct host *h, struct ring *r, struct virtqueue *q);
};

static void evil_index(struct host *h, struct ring *r, struct virtqueue *q)
{
	(void)q;
	put16(h, r->driver + 2, (u16)(r->size + 1));
}

static void evil_back(struct host *h, struct ring *r, struct virtqueue *q)
{
	(void)q;
	put16(h, r->driver + 2, 0xffff);
}

static void evil_head(struct host *h, struct ring *r, struct virtqueue *q)
{
	(void)h, (void)q;
	ring_publish(r, r->size);
}

static void evil_next(struct host *h, struct ring *r, struct virtqueue *q)
{
	(void)q;
	desc_put(h, r->desc, 0, DATA, 1, D_NEXT, 0xffff);
	ring_publish(r, 0);
}

static void evil_loop(struct host *h, struct ring *r, struct virtqueue *q)
{
	(void)q;
	desc_put(h, r->desc, 0, DATA, 1, D_NEXT, 1);
	desc_put(h, r->desc, 1, DATA, 1, D_NEXT, 0);
	ring_publish(r, 0);
}

static void evil_order(struct host *h, struct ring *r, struct virtqueue *q)
{
	(void)q;
	desc_put(h, r->desc, 0, DATA, 1, D_NEXT | D_WRITE, 1);
	desc_put(h, r->desc, 1, DATA, 1, 0, 0);
	ring_publish(r, 0);
}

static void evil_wrap(struct host *h, struct ring *r, struct virtqueue *q)
{
	(void)h, (void)q;
	ring_add(r, ~0ull - 3, 16, 0);
}

static void evil_sum(struct host *h, struct ring *r, struct virtqueue *q)
{
	(void)q;
	desc_put(h, r->desc, 0, DATA, 0xffffffff, D_NEXT, 1);
	desc_put(h, r->desc, 1, DATA, 2, D_WRITE, 1);
	ring_publish(r, 0);
}

static void evil_nested(struct host *h, struct ring *r, struct virtqueue *q)
{
	(void)q;
	desc_put(h, TABLE, 0, TABLE, 16, D_INDIRECT, 0);
	ring_add(r, TABLE, 16, D_INDIRECT);
}

static void evil_indirect_next(struct host *h, struct ring *r, struct virtqueue *q)
{
	(void)q;
	desc_put(h, TABLE, 0, DATA, 16, 0, 0);
	ring_add(r, TABLE, 16, D_INDIRECT | D_NEXT);
}

static void evil_table_size(struct host *h, struct ring *r, struct virtqueue *q)
{
	(void)h, (void)q;
	ring_add(r, TABLE, 24, D_INDIRECT);
}

static void evil_table_empty(struct host *h, struct ring *r, struct virtqueue *q)
{
	(void)h, (void)q;
	ring_add(r, TABLE, 0, D_INDIRECT);
}

static void evil_table_end(struct host *h, struct ring *r, struct virtqueue *q)
{
	(void)q;
	desc_put(h, TABLE, 0, DATA, 1, D_NEXT, 1);
	desc_put(h, TABLE, 1, DATA, 1, 0, 0);
	ring_add(r, TABLE, 16, D_INDIRECT);
}

static void evil_table_hole(struct host *h, struct ring *r, struct virtqueue *q)
{
	(void)h, (void)q;
	ring_add(r, HOST_TEST_HOLE * PAGE_SIZE, 16, D_INDIRECT);
}

static void evil_table_wrap(struct host *h, struct ring *r, struct virtqueue *q)
{
	(void)h, (void)q;
	ring_add(r, ~0ull - 7, 16, D_INDIRECT);
}

static void evil_table_loop(struct host *h, struct ring *r, struct virtqueue *q)
{
	(void)q;
	desc_put(h, TABLE, 0, DATA, 1, D_NEXT, 0);
	ring_add(r, TABLE, 0xfffffff0, D_INDIRECT);
}

static void evil_not_negotiated(struct host *h, struct ring *r, struct virtqueue *q)
{
	q->indirect = false;
	desc_put(h, TABLE, 0, DATA, 1, 0, 0);
	ring_add(r, TABLE, 16, D_INDIRECT);
}

static const struct evil evils[] = {
	{"index too far", evil_index},
	{"index back", evil_back},
	{"head out of range", evil_head},
	{"next out of range", evil_next},
	{"loop", evil_loop},
	{"readable after writable", evil_order},
	{"segment wraps", evil_wrap},
	{"more than 4 GiB", evil_sum},
	{"nested table", evil_nested},
	{"indirect and next", evil_indirect_next},
	{"table of a fraction", evil_table_size},
	{"table of nothing", evil_table_empty},
	{"next behind table", evil_table_end},
	{"table not RAM", evil_table_hole},
	{"table wraps", evil_table_wrap},
	{"loop in table", evil_table_loop},
	{"indirect not negotiated", evil_not_negotiated},
};

TEST(hostile_driver)
{
	struct host *h = host_test_create();

	for (unsigned i = 0; i < ARRAY_SIZE(evils); i++) {
		struct ring r;
		struct virtqueue q;
		bool shown;

		host_test_clear(h);
		q = queue_make(&r, h, 8);
		evils[i].fn(h, &r, &q);
		shown = virtqueue_peek(&q, &chain);
		if (shown || !q.broken)
			printf("not refused: %s\n", evils[i].what);
		CHECK(!shown && q.broken);
		put16(h, DRIVER + 2, 0);
		CHECK(!virtqueue_peek(&q, &chain));
		virtqueue_push(&q, 0, 0);
		CHECK_EQ(get16(h, DEVICE + 2), 0);
		CHECK(!virtqueue_wants_interrupt(&q) && !virtqueue_set_kicks(&q, true));
	}
	host_test_destroy(h);
}

TEST(chain_longer_than_the_device_takes)
{
	struct host *h = host_test_create();
	struct virtqueue_chain small = {.seg = segs, .max = 2};
	struct ring r;
	struct virtqueue q = queue_make(&r, h, 8);

	for (u16 i = 0; i < 3; i++)
		desc_put(h, DESC, i, DATA, 1, i < 2 ? D_NEXT : 0, (u16)(i + 1));
	ring_publish(&r, 0);
	CHECK(!virtqueue_peek(&q, &small));
	CHECK(q.broken);
	host_test_destroy(h);
}

TEST(data_outside_memory)
{
	struct host *h = host_test_create();
	u64 hole = HOST_TEST_HOLE * PAGE_SIZE;
	u64 where[] = {hole, hole - 4, HOST_TEST_PAGES * PAGE_SIZE, 1ull << 60};
	u8 buf[16];

	for (unsigned i = 0; i < ARRAY_SIZE(where); i++) {
		struct ring r;
		struct virtqueue q;

		host_test_clear(h);
		q = queue_make(&r, h, 8);
		ring_add(&r, where[i], 16, 0);
		CHECK(virtqueue_peek(&q, &chain));
		CHECK_EQ(virtqueue_read(&q, &chain, 0, buf, 16), 0);
		CHECK(q.broken);
	}
	host_test_destroy(h);
}

TEST(bad_rings_are_refused)
{
	static const struct {
		u16 size;
		u64 desc, driver, device;
	} bad[] = {
		{0, DESC, DRIVER, DEVICE},
		{3, DESC, DRIVER, DEVICE},
		{512, DESC, DRIVER, DEVICE},
		{8, DESC + 8, DRIVER, DEVICE},
		{8, DESC, DRIVER + 1, DEVICE},
		{8, DESC, DRIVER, DEVICE + 2},
		{8, HOST_TEST_HOLE * PAGE_SIZE, DRIVER, DEVICE},
		{8, DESC, HOST_TEST_HOLE * PAGE_SIZE - 4, DEVICE},
		{8, DESC, DRIVER, HOST_TEST_HOLE * PAGE_SIZE - 8},
		{256, HOST_TEST_HOLE * PAGE_SIZE - 2048, DRIVER, DEVICE},
		{8, ~0ull - 15, DRIVER, DEVICE},
		{8, DESC, ~0ull - 1, DEVICE},
		{8, DESC, DRIVER, ~0ull - 3},
		{8, 1ull << 52, DRIVER, DEVICE},
	};
	struct host *h = host_test_create();

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct ring r;
		struct virtqueue q =
			queue_at(&r, h, bad[i].size, bad[i].desc, bad[i].driver, bad[i].device);

		CHECK(q.broken);
		CHECK(!virtqueue_peek(&q, &chain));
	}
	host_test_destroy(h);
}

TEST_MAIN()
