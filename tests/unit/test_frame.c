// SPDX-License-Identifier: MIT
// Tests of the frame allocator.
// link: kernel/core/frame.c tests/unit/fake/arch.c
#include "tests/unit/test.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/pcpu.h"

#define RAM    (32 * MiB)
#define FRAMES (RAM / PAGE_SIZE)

static void *pool;

// All RAM but the first 5 frames and the last one, so the first and last blocks are broken.
static void start(void)
{
	fake_reset(2);
	fake_ram(RAM);
	free(pool);
	pool = malloc(frame_bookkeeping_size(hpa(RAM)));
	memset(pool, 0x77, frame_bookkeeping_size(hpa(RAM)));
	frame_init(hpa(RAM), pool);
	frame_add_range(hpa(5 * PAGE_SIZE - 100), hpa(RAM - 1));
}

static bool is_zero(hpa_t a, size_t n)
{
	const u8 *p = hpa_to_va(a);

	return p[0] == 0 && !memcmp(p, p + 1, n - 1);
}

static void fill(hpa_t a, size_t n)
{
	memset(hpa_to_va(a), 0x5a, n);
}

TEST(bookkeeping_is_small)
{
	CHECK(frame_bookkeeping_size(hpa(2 * GiB)) < 1300 * KiB);
	CHECK(frame_bookkeeping_size(hpa(RAM)) % PAGE_SIZE == 0);
}

TEST(ranges_count)
{
	start();
	CHECK_EQ(frame_total(), FRAMES - 6);
	CHECK_EQ(frame_free_count(), FRAMES - 6);
	CHECK_EQ(frame_clean_count(), 0);
	CHECK_EQ(frame_type_of(hpa(0)), FRAME_RESERVED);
	CHECK_EQ(frame_type_of(hpa(4 * PAGE_SIZE)), FRAME_RESERVED);
	CHECK_EQ(frame_type_of(hpa(5 * PAGE_SIZE)), FRAME_FREE);
	CHECK_EQ(frame_type_of(hpa(RAM - 1)), FRAME_RESERVED);
	CHECK_EQ(frame_type_of(hpa(64 * GiB)), FRAME_RESERVED);
}

TEST(small_frames_are_zero_and_accounted)
{
	hpa_t a, b;

	start();
	a = frame_alloc(7, FRAME_GUEST, ORDER_4K);
	b = frame_alloc(7, FRAME_TABLE, ORDER_4K);
	CHECK(!hpa_is_none(a) && !hpa_is_none(b) && a.v != b.v);
	CHECK(is_zero(a, PAGE_SIZE) && is_zero(b, PAGE_SIZE));
	CHECK_EQ(frame_type_of(a), FRAME_GUEST);
	CHECK_EQ(frame_type_of(b), FRAME_TABLE);
	CHECK_EQ(frame_owner_of(a), 7);
	CHECK_EQ(frame_owned(7), 2);
	CHECK_EQ(frame_free_count(), FRAMES - 8);
	fill(a, PAGE_SIZE);
	frame_free(a, ORDER_4K);
	CHECK_EQ(frame_type_of(a), FRAME_FREE);
	frame_free(b, ORDER_4K);
	CHECK_EQ(frame_owned(7), 0);
	CHECK_EQ(frame_free_count(), FRAMES - 6);
}

TEST(small_frames_come_from_broken_blocks_first)
{
	hpa_t a[1017];

	start(); // the broken ones at both ends have 507 and 511 free frames
	for (unsigned i = 0; i < 1017; i++)
		a[i] = frame_alloc(1, FRAME_TABLE, ORDER_4K);
	for (unsigned i = 0; i < 1017; i++)
		CHECK(a[i].v < 2 * MiB || a[i].v >= RAM - 2 * MiB);
	for (unsigned i = 0; i < RAM / (2 * MiB) - 2; i++)
		CHECK(!hpa_is_none(frame_alloc(1, FRAME_GUEST, ORDER_2M)));
	CHECK(hpa_is_none(frame_alloc(1, FRAME_GUEST, ORDER_2M)));
	CHECK_EQ(frame_free_count(), 1);
	CHECK(!hpa_is_none(frame_alloc(1, FRAME_GUEST, ORDER_4K)));
	CHECK(hpa_is_none(frame_alloc(1, FRAME_GUEST, ORDER_4K)));
	frame_free(a[3], ORDER_4K);
	CHECK_EQ(frame_alloc(1, FRAME_GUEST, ORDER_4K).v, a[3].v);
}

// They come out of the others only when there is nothing else.
TEST(frames_of_guests_lie_in_blocks_that_are_ram_throughout)
{
	u64 whole = (RAM / (2 * MiB) - 2) * 512;

	start();
	for (u64 i = 0; i < whole; i++) {
		hpa_t a = frame_alloc(1, FRAME_GUEST, ORDER_4K);

		CHECK(a.v >= 2 * MiB && a.v < RAM - 2 * MiB);
	}
	CHECK_EQ(frame_free_count(), 507 + 511);
	for (u64 i = 0; i < 507 + 511; i++)
		CHECK(!hpa_is_none(frame_alloc(1, FRAME_GUEST, ORDER_4K)));
	CHECK(hpa_is_none(frame_alloc(1, FRAME_GUEST, ORDER_4K)));
}

TEST(blocks_are_zero_and_clean_ones_preferred)
{
	hpa_t a, b;
	u64 before;

	start();
	a = frame_alloc(3, FRAME_GUEST, ORDER_2M);
	CHECK(IS_ALIGNED(a.v, 2 * MiB) && is_zero(a, 2 * MiB));
	CHECK_EQ(frame_owned(3), 512);
	CHECK_EQ(frame_owner_of(hpa_add(a, 1 * MiB)), 3);
	CHECK_EQ(frame_type_of(hpa_add(a, 2 * MiB - 1)), FRAME_GUEST);
	for (unsigned i = 0; i < 512; i++)
		CHECK(frame_scrub_slice());
	CHECK_EQ(frame_clean_count(), 512);
	before = fake_zeroed;
	b = frame_alloc(3, FRAME_GUEST, ORDER_2M);
	CHECK_EQ(fake_zeroed, before);
	CHECK(is_zero(b, 2 * MiB));
	CHECK_EQ(frame_clean_count(), 0);
	frame_free(a, ORDER_2M);
	frame_free(b, ORDER_2M);
	CHECK_EQ(frame_owned(3), 0);
	CHECK_EQ(frame_clean_count(), 0);
	CHECK_EQ(frame_free_count(), FRAMES - 6);
}

TEST(half_scrubbed_block_is_zeroed_only_where_needed)
{
	u64 before;
	hpa_t a;

	start();
	for (unsigned i = 0; i < 160; i++)
		CHECK(frame_scrub_slice());
	CHECK_EQ(frame_clean_count(), 160);
	for (unsigned i = 0; i < RAM / (2 * MiB) - 3; i++)
		frame_alloc(1, FRAME_GUEST, ORDER_2M);
	before = fake_zeroed;
	a = frame_alloc(1, FRAME_GUEST, ORDER_2M);
	CHECK(!hpa_is_none(a) && is_zero(a, 2 * MiB));
	CHECK(fake_zeroed - before == 2 * MiB || fake_zeroed - before == 2 * MiB - 160 * PAGE_SIZE);
	CHECK_EQ(frame_clean_count(), 0);
}

TEST(scrubbing_ends_and_counts)
{
	unsigned slices = 0;

	start();
	while (frame_scrub_slice())
		slices++;
	CHECK_EQ(slices, 14 * 512);
	CHECK_EQ(frame_clean_count(), 14 * 512);
	CHECK_EQ(frame_free_count(), FRAMES - 6);
	for (unsigned i = 0; i < 14; i++)
		CHECK(is_zero(frame_alloc(1, FRAME_GUEST, ORDER_2M), 2 * MiB));
}

TEST(a_certain_block)
{
	hpa_t a;
	u64 clean;

	start();
	CHECK(!frame_claim(hpa(0), 7)); // its first frames are not free
	while (frame_scrub_slice())
		;
	clean = frame_clean_count();
	fill(hpa(4 * MiB), 64);
	CHECK(frame_claim(hpa(4 * MiB), 7) && !frame_claim(hpa(4 * MiB), 7));
	CHECK_EQ(*(u8 *)hpa_to_va(hpa(4 * MiB)), 0x5a); // it is as it was
	CHECK_EQ(frame_owned(7), 512);
	CHECK_EQ(frame_free_count(), FRAMES - 6 - 512);
	CHECK_EQ(frame_clean_count(), clean - 512);
	CHECK_EQ(frame_owner_of(hpa(5 * MiB)), 7);
	for (u32 i = 0; !hpa_is_none(a = frame_alloc(1, FRAME_GUEST, ORDER_2M)); i++)
		CHECK(a.v != 4 * MiB && i < 16);
	frame_free(hpa(4 * MiB), ORDER_2M);
	CHECK_EQ(frame_owned(7), 0);
}

TEST(frame_out_of_a_whole_block)
{
	hpa_t a, mid;

	start();
	a = frame_alloc(9, FRAME_GUEST, ORDER_2M);
	mid = hpa_add(a, 77 * PAGE_SIZE);
	fill(a, 2 * MiB);
	frame_free(mid, ORDER_4K);
	CHECK_EQ(frame_owned(9), 511);
	CHECK_EQ(frame_type_of(mid), FRAME_FREE);
	CHECK_EQ(frame_type_of(a), FRAME_GUEST);
	CHECK_EQ(frame_owner_of(hpa_add(mid, PAGE_SIZE)), 9);
	CHECK_EQ(frame_alloc(4, FRAME_GUEST, ORDER_4K).v, mid.v); // newest broken block first
	CHECK(is_zero(mid, PAGE_SIZE));
	CHECK(FAKE_PANICS(frame_free(a, ORDER_2M)));
}

TEST(block_becomes_whole_again)
{
	hpa_t a;

	start();
	a = frame_alloc(9, FRAME_GUEST, ORDER_2M);
	for (unsigned i = 0; i < 512; i++)
		frame_free(hpa_add(a, i * PAGE_SIZE), ORDER_4K);
	CHECK_EQ(frame_owned(9), 0);
	for (unsigned i = 0; i < 14; i++)
		CHECK(!hpa_is_none(frame_alloc(1, FRAME_GUEST, ORDER_2M)));
}

TEST(double_free_is_found)
{
	static hpa_t a, b;

	start();
	a = frame_alloc(1, FRAME_GUEST, ORDER_4K);
	frame_free(a, ORDER_4K);
	CHECK(FAKE_PANICS(frame_free(a, ORDER_4K)));
	start();
	b = frame_alloc(1, FRAME_GUEST, ORDER_2M);
	frame_free(b, ORDER_2M);
	CHECK(FAKE_PANICS(frame_free(b, ORDER_2M)));
	start();
	CHECK(FAKE_PANICS(frame_free(hpa(0), ORDER_4K)));
	start();
	CHECK(FAKE_PANICS(frame_free(hpa(RAM), ORDER_4K)));
	start();
	a = frame_alloc(1, FRAME_GUEST, ORDER_4K);
	CHECK(FAKE_PANICS(kmem_free(hpa_to_va(a), PAGE_SIZE)));
}

TEST(kmem)
{
	static const size_t sizes[] = {
		1, 4096, 4097, 64 * KiB, 300 * KiB, 1 * MiB + 1, 2 * MiB - 1, 2 * MiB};
	void *p[ARRAY_SIZE(sizes)];

	start();
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		p[i] = kmem_alloc(sizes[i], 5);
		CHECK(p[i] != NULL);
		CHECK(is_zero(va_to_hpa(p[i]), ALIGN_UP(sizes[i], PAGE_SIZE)));
		CHECK_EQ(frame_type_of(va_to_hpa(p[i])), FRAME_KERNEL);
		memset(p[i], (int)i + 1, ALIGN_UP(sizes[i], PAGE_SIZE));
	}
	CHECK_EQ(frame_owned(5), 1 + 1 + 2 + 16 + 75 + 257 + 512 + 512);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		const u8 *q = p[i];

		CHECK(q[0] == i + 1 && !memcmp(q, q + 1, ALIGN_UP(sizes[i], PAGE_SIZE) - 1));
		kmem_free(p[i], sizes[i]);
	}
	CHECK_EQ(frame_owned(5), 0);
	CHECK_EQ(frame_free_count(), FRAMES - 6);
	for (unsigned i = 0; i < 14; i++)
		CHECK(kmem_alloc(2 * MiB, 0) != NULL);
	CHECK(kmem_alloc(2 * MiB, 0) == NULL);
	CHECK(kmem_alloc(512 * KiB, 0) != NULL);
}

static unsigned relaxed;

static void other_cpu(void)
{
	relaxed++;
}

TEST(no_scrubbing_no_wait)
{
	start();
	relaxed = 0;
	fake_relax = other_cpu;
	while (!hpa_is_none(frame_alloc(1, FRAME_GUEST, ORDER_2M)))
		;
	CHECK_EQ(relaxed, 0);
	CHECK_EQ(frame_free_count(), 507 + 511);
}

// Random use against a plain model.
TEST(random_use)
{
	enum { SLOTS = 400 };
	static struct {
		hpa_t a;
		enum frame_order order;
		size_t kmem;
		u16 owner;
	} slot[SLOTS];
	u64 seed = 12345, used = 0, per_owner[8] = {0};

	start();
	memset(slot, 0xff, sizeof(slot));
	for (unsigned step = 0; step < 20000; step++) {
		unsigned i, r;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		i = (unsigned)(seed >> 33) % SLOTS;
		r = (unsigned)(seed >> 60);
		if (hpa_is_none(slot[i].a)) {
			u16 owner = (u16)(seed >> 50) % 8;
			u64 n;

			slot[i].owner = owner;
			slot[i].kmem = r == 15 ? 1 + (seed >> 40) % 40 * PAGE_SIZE : 0;
			slot[i].order = r == 14 ? ORDER_2M : ORDER_4K;
			if (slot[i].kmem) {
				void *p = kmem_alloc(slot[i].kmem, owner);

				slot[i].a = p ? va_to_hpa(p) : HPA_NONE;
				n = ALIGN_UP(slot[i].kmem, PAGE_SIZE) / PAGE_SIZE;
			} else {
				slot[i].a = frame_alloc(owner, FRAME_GUEST, slot[i].order);
				n = 1ull << slot[i].order;
			}
			if (!hpa_is_none(slot[i].a)) {
				if (!is_zero(slot[i].a, n * PAGE_SIZE))
					CHECK(!"what is given out is zero");
				fill(slot[i].a, n * PAGE_SIZE);
				used += n;
				per_owner[owner] += n;
			}
		} else {
			u64 n = 1ull << slot[i].order;

			if (slot[i].kmem) {
				n = ALIGN_UP(slot[i].kmem, PAGE_SIZE) / PAGE_SIZE;
				kmem_free(hpa_to_va(slot[i].a), slot[i].kmem);
			} else {
				frame_free(slot[i].a, slot[i].order);
			}
			used -= n;
			per_owner[slot[i].owner] -= n;
			slot[i].a = HPA_NONE;
		}
		if (r == 3)
			frame_scrub_slice();
		if (frame_free_count() + used != FRAMES - 6)
			CHECK(!"free and used add up");
	}
	for (u16 o = 0; o < 8; o++)
		CHECK_EQ(frame_owned(o), per_owner[o]);
	for (unsigned i = 0; i < SLOTS; i++) {
		if (hpa_is_none(slot[i].a))
			continue;
		if (slot[i].kmem)
			kmem_free(hpa_to_va(slot[i].a), slot[i].kmem);
		else
			frame_free(slot[i].a, slot[i].order);
	}
	CHECK_EQ(frame_free_count(), FRAMES - 6);
	CHECK_EQ(frame_owned(1), 0);
}

TEST_MAIN()
