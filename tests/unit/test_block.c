// SPDX-License-Identifier: MIT
// Requests to disks over a driver that the test plays: pieces, the buffer, errors, time-outs and resets.
//
// link: drivers/block.c drivers/block_hot.c drivers/block_piece.c drivers/iommu.c kernel/core/timer.c kernel/core/cmdline.c tests/unit/fake/arch.c
#include "drivers/block.h"
#include "kernel/core/frame.h"
#include "lib/errno.h"
#include "tests/unit/test.h"

#define RAM     (4 * MiB)
#define SECONDS 1000000000ull
#define SLOTS   4

static struct block_controller controller;
static struct block_queue queue;
static struct block_disk disk;
static struct block_device device;
static u8 *ram;
static u64 ram_next;

// What the device has, in the order in which it came.
static struct block_request *with_device[SLOTS];
static u32 started, kicks, expired;
static bool wait_longer;

void *kmem_alloc(size_t size, u16 owner)
{
	u64 at = ram_next;

	(void)owner;
	ram_next += ALIGN_UP(size, PAGE_SIZE);
	return ram + at;
}

void kmem_free(void *p, size_t size)
{
	(void)p;
	(void)size;
}

// ---------------------------------------------------------------- an IOMMU of so many pages

#define PAGES (RAM / PAGE_SIZE)

static u8 mapped[PAGES];       // how often
static bool remembered[PAGES]; // the device was there, and the IOMMU was not told to forget it
static bool no_tables;
static u32 flushes;

static bool map(struct iommu_domain *d, u64 first, u64 last)
{
	(void)d;
	CHECK(first <= last && last < PAGES);
	for (u64 i = first; i <= last && !no_tables; i++)
		mapped[i]++;
	return !no_tables;
}

static void unmap(struct iommu_domain *d, u64 first, u64 last)
{
	(void)d;
	for (u64 i = first; i <= last; i++) {
		CHECK(mapped[i]);
		mapped[i]--;
	}
}

static void flush(struct iommu_domain *d, u64 first, u64 last, bool now_mapped)
{
	(void)d;
	flushes += !now_mapped;
	for (u64 i = first; i <= last; i++)
		remembered[i] = false;
}

static const struct iommu_ops iommu_ops = {.map = map, .unmap = unmap, .flush = flush};
static struct iommu_domain domain = {&iommu_ops};

static bool reaches(u64 at)
{
	return mapped[at >> PAGE_SHIFT] || remembered[at >> PAGE_SHIFT];
}

// The device uses all of the piece's memory.
static void use_memory(const struct block_request *r)
{
	struct block_cursor c;
	struct block_segment s;

	block_cursor_start(&c, r);
	while (block_cursor_next(&c, &s)) {
		for (u64 page = s.at.v >> PAGE_SHIFT; page <= (s.at.v + s.len - 1) >> PAGE_SHIFT;
			page++) {
			CHECK(mapped[page] || r->unreachable);
			remembered[page] = true;
		}
	}
}

// ---------------------------------------------------------------- the driver

static int start(struct block_queue *q, struct block_request *r)
{
	(void)q;
	if (started == SLOTS)
		return -EAGAIN;
	use_memory(r);
	with_device[started++] = r;
	return 0;
}

static void kick(struct block_queue *q)
{
	(void)q;
	kicks++;
}

static bool expire(struct block_queue *q, struct block_request *r)
{
	(void)q;
	(void)r;
	expired++;
	return wait_longer;
}

static const struct block_driver driver = {.start = start, .kick = kick, .expire = expire};

// The device answers its oldest command.
static struct block_piece answer(int err)
{
	struct block_request *r = with_device[0];
	struct block_piece p = r->piece;

	memmove(with_device, with_device + 1, (SLOTS - 1) * sizeof(*with_device));
	started--;
	spin_lock(&queue.lock);
	block_complete(&queue, r, err);
	block_queue_end(&queue);
	return p;
}

static struct block_segment segments[64];
static struct block_request requests[8];
static int results[8]; // 1: not done
static u32 done_count;

static void done(struct block_request *r, int err)
{
	CHECK(!spin_is_locked(&queue.lock));
	CHECK_EQ(results[r - requests], 1);
	results[r - requests] = err;
	done_count++;
}

static void set_up(void)
{
	fake_reset(1);
	ram = fake_ram(RAM);
	ram_next = MiB;
	timer_init_pcpu(this_pcpu());
	memset(mapped, 0, sizeof(mapped));
	memset(remembered, 0, sizeof(remembered));
	no_tables = false;
	flushes = 0;
	controller = (struct block_controller){
		.driver = &driver, .domain = &domain, .queue_count = 1, .queues = {&queue}};
	CHECK_EQ(block_queue_init(&queue, &controller), 0);
	disk = (struct block_disk){.controller = &controller,
		.sectors = 100000,
		.limits = {.block_size = 512,
			.max_bytes = 64 * KiB,
			.max_segments = 8,
			.align = 4,
			.page = 4096,
			.max_discard = 1000,
			.max_zero = 10}};
	device = (struct block_device){.disk = &disk, .first = 1000, .sectors = 50000};
	started = kicks = expired = done_count = 0;
	wait_longer = false;
}

static int submit(u32 i, enum block_op op, u64 sector, u64 count, u32 segment_count)
{
	requests[i] = (struct block_request){.op = op,
		.sector = sector,
		.count = count,
		.segments = segments,
		.segment_count = segment_count,
		.done = done};
	results[i] = 1;
	return block_submit(&device, &requests[i]);
}

static void segment(u32 i, u64 at, u32 len)
{
	segments[i] = (struct block_segment){hpa(at), len};
}

TEST(refused)
{
	set_up();
	segment(0, 0x1000, 512);
	CHECK_EQ(submit(0, BLOCK_READ, 50000, 1, 1), -EINVAL);
	CHECK_EQ(submit(0, BLOCK_READ, ~0ull, 1, 1), -EINVAL);
	CHECK_EQ(submit(0, BLOCK_READ, 49999, 2, 1), -EINVAL);
	CHECK_EQ(submit(0, BLOCK_READ, 1, ~0ull, 1), -EINVAL);
	CHECK_EQ(submit(0, BLOCK_READ, 1, 0, 1), -EINVAL);
	CHECK_EQ(submit(0, BLOCK_READ, 1, 2, 1), -EINVAL); // memory for one
	CHECK_EQ(submit(0, BLOCK_FLUSH, 0, 1, 0), -EINVAL);
	CHECK_EQ(submit(0, BLOCK_DISCARD, 0, 1, 1), -EINVAL);
	disk.limits.max_zero = 0;
	CHECK_EQ(submit(0, BLOCK_ZERO, 0, 1, 0), -EINVAL);
	disk.limits.block_size = 4096;
	CHECK_EQ(submit(0, BLOCK_READ, 1, 1, 1), -EINVAL);
	disk.limits.block_size = 512;
	disk.limits.read_only = true;
	CHECK_EQ(submit(0, BLOCK_WRITE, 1, 1, 1), -EROFS);
	CHECK_EQ(submit(0, BLOCK_READ, 49999, 1, 1), 0);
	CHECK_EQ(started, 1);
	CHECK_EQ(kicks, 0);
	block_commit(&device);
	CHECK_EQ(kicks, 1);
	block_commit(&device);
	CHECK_EQ(kicks, 1);
	CHECK_EQ(answer(0).sector, 50999);
	CHECK_EQ(results[0], 0);
}

// Sum of what the cursor gives for the piece that the device has last.
static u32 cursor_bytes(u32 *count)
{
	struct block_cursor c;
	struct block_segment s;
	u32 bytes = 0;

	block_cursor_start(&c, with_device[started - 1]);
	for (*count = 0; block_cursor_next(&c, &s); ++*count)
		bytes += s.len;
	return bytes;
}

TEST(pieces)
{
	u32 n, pieces = 0;
	u64 sector = 1000;

	set_up();
	segment(0, 0x1200, 0xE00); // to the end of a page
	segment(1, 0x10000, 160 * KiB);
	segment(2, 0x80000, 0x200);
	CHECK_EQ(submit(0, BLOCK_WRITE, 0, 7 + 320 + 1, 3), 0);
	while (started) {
		struct block_piece p = with_device[0]->piece;

		CHECK_EQ(cursor_bytes(&n), p.sectors * 512);
		CHECK(!p.bounced && p.sectors <= 128 && p.sector == sector);
		sector += p.sectors;
		CHECK_EQ(results[0], 1);
		answer(0);
		pieces++;
	}
	CHECK_EQ(sector, 1000 + 328);
	CHECK_EQ(pieces, 3);
	CHECK_EQ(results[0], 0);
}

TEST(too_many_segments)
{
	u32 n;

	set_up();
	for (u32 i = 0; i < 12; i++)
		segment(i, 0x2000 + 0x2000 * i, 4096);
	CHECK_EQ(submit(0, BLOCK_READ, 0, 96, 12), 0);
	CHECK_EQ(cursor_bytes(&n), 8 * 4096);
	CHECK_EQ(n, 8);
	answer(0);
	CHECK_EQ(cursor_bytes(&n), 4 * 4096);
	answer(0);
	CHECK_EQ(results[0], 0);
}

// Segments at odd places: their data goes through the buffer and arrives whole.
TEST(bounced)
{
	struct block_cursor c;
	struct block_segment s;

	set_up();
	segment(0, 0x1001, 100);
	segment(1, 0x3003, 412);
	CHECK_EQ(submit(0, BLOCK_READ, 0, 1, 2), 0);
	CHECK(with_device[0]->piece.bounced);
	CHECK_EQ(submit(1, BLOCK_READ, 0, 1, 2), 0); // must wait for the buffer
	CHECK_EQ(started, 1);
	block_cursor_start(&c, with_device[0]);
	CHECK(block_cursor_next(&c, &s) && s.len == 512 && IS_ALIGNED(s.at.v, PAGE_SIZE));
	for (u32 i = 0; i < 512; i++)
		ram[s.at.v + i] = (u8)(i * 7);
	CHECK(!block_cursor_next(&c, &s));
	answer(0);
	CHECK_EQ(results[0], 0);
	for (u32 i = 0; i < 512; i++)
		CHECK_EQ(ram[i < 100 ? 0x1001 + i : 0x3003 + i - 100], (u8)(i * 7));
	CHECK_EQ(started, 1);
	answer(0);
	CHECK_EQ(results[1], 0);
	memset(ram + 0x1001, 1, 100);
	memset(ram + 0x3003, 2, 412);
	CHECK_EQ(submit(0, BLOCK_WRITE, 0, 1, 2), 0);
	block_cursor_start(&c, with_device[0]);
	CHECK(block_cursor_next(&c, &s));
	CHECK(ram[s.at.v + 99] == 1 && ram[s.at.v + 100] == 2 && ram[s.at.v + 511] == 2);
	answer(-EIO);
	CHECK_EQ(results[0], -EIO);
	CHECK(!queue.bounce_user);
}

// The device reaches a piece's memory while it has the piece, and not when the request has ended.
TEST(reachable_in_flight)
{
	set_up();
	segment(0, 0x1E00, 0x200);
	segment(1, 0x10000, 160 * KiB);
	CHECK(!reaches(0x1E00) && !reaches(0x10000));
	CHECK_EQ(submit(0, BLOCK_READ, 0, 1 + 320, 2), 0);
	CHECK(reaches(0x1E00) && reaches(0x10000) && !reaches(0x10000 + 160 * KiB - 1));
	answer(0);
	CHECK(!reaches(0x1E00) && !reaches(0x10000) && !remembered[0x10]);
	CHECK(reaches(0x10000 + 70 * KiB));
	answer(0);
	answer(0);
	CHECK_EQ(results[0], 0);
	for (u64 at = 0; at < MiB; at += PAGE_SIZE)
		CHECK(!reaches(at));
}

// Two requests name one page: it is reachable until both have ended.
TEST(reachable_twice)
{
	set_up();
	segment(0, 0x3000, 512);
	submit(0, BLOCK_READ, 0, 1, 1);
	submit(1, BLOCK_WRITE, 1, 1, 1);
	answer(0);
	CHECK(reaches(0x3000));
	answer(-EIO);
	CHECK(!reaches(0x3000) && !remembered[3]);
	CHECK_EQ(flushes, 2);
}

// The second piece goes through the buffer, which the device reaches before and after.
TEST(mapped_then_bounced)
{
	set_up();
	segment(0, 0x4000, 4096);
	segment(1, 0x8001, 512);
	submit(0, BLOCK_READ, 0, 9, 2);
	CHECK(!with_device[0]->piece.bounced && reaches(0x4000));
	answer(0);
	CHECK(with_device[0]->piece.bounced && !reaches(0x4000) && !reaches(0x8000));
	answer(0);
	CHECK_EQ(results[0], 0);
	CHECK(mapped[va_to_hpa(queue.bounce).v >> PAGE_SHIFT]);
}

// What the IOMMU has no tables for goes through the buffer.
TEST(unmappable)
{
	set_up();
	no_tables = true;
	segment(0, 0x3000, 1024);
	submit(0, BLOCK_READ, 0, 2, 1);
	submit(1, BLOCK_READ, 0, 2, 1);
	CHECK_EQ(started, 1);
	CHECK(with_device[0]->piece.bounced && !reaches(0x3000));
	answer(0);
	CHECK_EQ(results[0], 0);
	answer(0);
	CHECK_EQ(results[1], 0);
	CHECK_EQ(flushes, 0);
}

// Requests that a reset ends, starts again, or that find no slot leave nothing behind.
TEST(unreachable_after_all)
{
	set_up();
	segment(0, 0x10000, 512);
	for (u32 i = 0; i < 7; i++)
		CHECK_EQ(submit(i, BLOCK_READ, i, 1, 1), 0);
	CHECK_EQ(started, SLOTS);
	block_stop(&controller);
	requests[0].expiries = 1;
	started = 0;
	block_resume(&controller);
	CHECK_EQ(results[0], -EIO);
	CHECK(reaches(0x10000));
	block_dead(&controller);
	started = 0;
	CHECK_EQ(done_count, 7);
	for (u64 at = 0; at < MiB; at += PAGE_SIZE)
		CHECK(!reaches(at));
}

// Only a test of the IOMMU asks for this.
TEST(unreachable)
{
	set_up();
	segment(0, 0x3000, 512);
	requests[0] = (struct block_request){.op = BLOCK_READ,
		.count = 1,
		.segments = segments,
		.segment_count = 1,
		.unreachable = true,
		.done = done};
	results[0] = 1;
	CHECK_EQ(block_submit(&device, &requests[0]), 0);
	CHECK(!mapped[3]);
	answer(0);
	CHECK_EQ(results[0], 0);
}

static u32 series_overs, series_told;

static void over(struct block_series *s, u32 told)
{
	(void)s;
	series_overs++;
	series_told += told;
	CHECK_EQ(done_count, series_told);
}

// Who has several requests that end together is told of the end of all of them.
TEST(series)
{
	struct block_series one = {over};

	set_up();
	series_overs = series_told = 0;
	segment(0, 0x1000, 512);
	for (u32 i = 0; i < 3; i++) {
		CHECK_EQ(submit(i, BLOCK_READ, i, 1, 1), 0);
		requests[i].series = &one;
	}
	spin_lock(&queue.lock);
	for (u32 i = 0; i < 3; i++)
		block_complete(&queue, with_device[i], 0);
	started = 0;
	block_queue_end(&queue);
	CHECK_EQ(done_count, 3);
	CHECK_EQ(series_overs, 1);
	CHECK_EQ(submit(0, BLOCK_READ, 0, 1, 1), 0);
	requests[0].series = &one;
	answer(0);
	CHECK_EQ(series_overs, 2);
	CHECK_EQ(series_told, 4);
}

TEST(others)
{
	set_up();
	CHECK_EQ(submit(0, BLOCK_ZERO, 5, 25, 0), 0);
	CHECK_EQ(answer(0).sectors, 10);
	CHECK_EQ(answer(0).sectors, 10);
	CHECK_EQ(results[0], 1);
	CHECK_EQ(answer(0).sector, 1025);
	CHECK_EQ(results[0], 0);
	CHECK_EQ(submit(0, BLOCK_DISCARD, 0, 1001, 0), 0);
	CHECK_EQ(answer(0).sectors, 1000);
	CHECK_EQ(answer(-EIO).sectors, 1);
	CHECK_EQ(results[0], -EIO);
	CHECK_EQ(submit(0, BLOCK_FLUSH, 0, 0, 0), 0);
	CHECK_EQ(answer(0).sectors, 0);
	CHECK_EQ(results[0], 0);
}

TEST(full)
{
	set_up();
	segment(0, 0x1000, 512);
	for (u32 i = 0; i < 7; i++)
		CHECK_EQ(submit(i, BLOCK_READ, i, 1, 1), 0);
	CHECK_EQ(started, SLOTS);
	for (u32 i = 0; i < 7; i++)
		CHECK_EQ(answer(0).sector, 1000 + i);
	CHECK_EQ(done_count, 7);
}

TEST(answered_late)
{
	set_up();
	segment(0, 0x1000, 512);
	wait_longer = true;
	submit(0, BLOCK_READ, 0, 1, 1);
	fake_now = 9 * SECONDS;
	submit(1, BLOCK_READ, 0, 1, 1);
	timer_run(TIMER_NEVER);
	CHECK_EQ(expired, 0);
	fake_now = 11 * SECONDS;
	timer_run(TIMER_NEVER);
	CHECK_EQ(expired, 1);
	CHECK_EQ(requests[0].expiries, 1);
	answer(0);
	CHECK_EQ(results[0], 0);
	answer(0);
	fake_now = 40 * SECONDS;
	timer_run(TIMER_NEVER);
	CHECK_EQ(expired, 1);
	CHECK(!timer_is_set(&queue.timer));
}

// What ran out of time fails, what was in flight beside it is done once more, what waited is done.
TEST(reset)
{
	set_up();
	segment(0, 0x1000, 512);
	for (u32 i = 0; i < 3; i++)
		submit(i, BLOCK_READ, i, 1, 1);
	requests[0].deadline = 0; // only it is late
	fake_now = 10 * SECONDS;
	requests[1].deadline = requests[2].deadline = 15 * SECONDS;
	timer_run(TIMER_NEVER);
	CHECK_EQ(expired, 1);
	block_stop(&controller);
	submit(3, BLOCK_READ, 3, 1, 1);
	CHECK_EQ(started, 3);
	started = 0; // the device forgets all
	block_resume(&controller);
	CHECK_EQ(results[0], -EIO);
	CHECK_EQ(started, 3);
	for (u32 i = 1; i < 4; i++)
		CHECK_EQ(answer(0).sector, 1000 + i);
	CHECK(results[1] == 0 && results[2] == 0 && results[3] == 0);
}

TEST(reset_twice)
{
	set_up();
	segment(0, 0x1000, 512);
	submit(0, BLOCK_READ, 0, 1, 1);
	for (u32 i = 0; i < 2; i++) {
		CHECK_EQ(results[0], 1);
		block_stop(&controller);
		started = 0;
		block_resume(&controller);
	}
	CHECK_EQ(results[0], -EIO);
	CHECK_EQ(started, 0);
}

TEST(dead)
{
	set_up();
	segment(0, 0x1001, 512); // through the buffer
	for (u32 i = 0; i < 3; i++)
		submit(i, BLOCK_READ, 0, 1, 1);
	block_dead(&controller);
	CHECK_EQ(done_count, 3);
	CHECK(results[0] == -ENODEV && results[1] == -ENODEV && results[2] == -ENODEV);
	CHECK_EQ(submit(3, BLOCK_READ, 0, 1, 1), -ENODEV);
	CHECK(!queue.bounce_user);
}

TEST_MAIN()
