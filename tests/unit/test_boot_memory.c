// SPDX-License-Identifier: MIT
// link: kernel/x86/boot_memory.c tests/unit/fake/arch.c
//
// The memory of the start, on maps that are right and on maps that contradict themselves: what is
// given out or handed over is RAM, is nobody else's, and is given once.
#include "tests/unit/test.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/x86/boot.h"
#include "arch.h"

#define RAM_SIZE (32 * MiB)
#define PAGES    (RAM_SIZE / PAGE_SIZE)

static const struct boot_image image = {{2 * MiB}, {2 * MiB + 0x30000}, {2 * MiB + 0x3A000}};
static struct boot_info info;
static u8 given[PAGES]; // how often each page was handed to the frame allocator
static u8 out[PAGES];   // how often boot_alloc gave it out

size_t frame_bookkeeping_size(hpa_t end)
{
	return end.v / PAGE_SIZE * 2;
}
void frame_init(hpa_t end, void *pool)
{
	memset(pool, 0xEE, frame_bookkeeping_size(end));
}

void frame_add_range(hpa_t start, hpa_t end)
{
	CHECK(start.v < end.v);
	for (u64 a = ALIGN_UP(start.v, PAGE_SIZE); a + PAGE_SIZE <= MIN(end.v, RAM_SIZE);
		a += PAGE_SIZE)
		given[a / PAGE_SIZE]++;
}

static void begin(void)
{
	memset(&info, 0, sizeof(info));
	memset(given, 0, sizeof(given));
	memset(out, 0, sizeof(out));
	info.module = HPA_NONE;
	fake_reset(1);
	fake_ram(RAM_SIZE);
}

static void range(u64 start, u64 end, u32 type)
{
	info.map[info.map_count++] = (struct boot_range){start, end, type};
}

static hpa_t alloc(size_t size)
{
	hpa_t a = boot_alloc(size);
	const u8 *p = hpa_to_va(a);

	for (size_t i = 0; i < size; i++)
		if (p[i]) {
			CHECK(!"zeroed");
			break;
		}
	for (u64 at = a.v; at < a.v + size; at += PAGE_SIZE)
		out[at / PAGE_SIZE]++;
	return a;
}

// By the definition: some RAM entry holds the whole page, no other entry touches it.
static bool page_is_ram(u64 a)
{
	bool ram = false;

	for (u32 i = 0; i < info.map_count; i++) {
		const struct boot_range *r = &info.map[i];

		if (r->type == BOOT_RAM)
			ram |= r->start <= a && r->end >= a + PAGE_SIZE;
		else if (r->start < a + PAGE_SIZE && r->end > a)
			return false;
	}
	return ram;
}

static bool page_is_taken(u64 a)
{
	bool module = !hpa_is_none(info.module) && a < info.module.v + info.module_size &&
		      a + PAGE_SIZE > info.module.v;

	return a < MiB || module || (a >= image.start.v && a < image.end.v);
}

static void check_pages(void)
{
	for (u64 i = 0; i < PAGES; i++) {
		u64 a = i * PAGE_SIZE;

		CHECK(out[i] <= 1 && given[i] <= 1);
		if (out[i] || given[i])
			CHECK(page_is_ram(a) && !page_is_taken(a) && out[i] + given[i] == 1);
	}
}

static u64 count(const u8 *pages)
{
	u64 n = 0;

	for (u64 i = 0; i < PAGES; i++)
		n += pages[i];
	return n;
}

TEST(hands_over_all_the_rest)
{
	u64 pool = frame_bookkeeping_size(hpa(RAM_SIZE)) / PAGE_SIZE;

	begin();
	range(0, 0x9FC00, BOOT_RAM);
	range(0x9FC00, MiB, BOOT_RESERVED);
	range(MiB, RAM_SIZE, BOOT_RAM);
	info.module = hpa(8 * MiB + 5);
	info.module_size = 70000;
	boot_memory_init(&info, &image);
	CHECK_EQ(alloc(PAGE_SIZE).v, MiB);
	CHECK_EQ(alloc(3 * PAGE_SIZE).v, MiB + PAGE_SIZE);
	CHECK_EQ(alloc(MiB).v, image.end.v); // does not fit below the image
	boot_memory_handover();
	check_pages();
	// All but the first MiB, the image, the module (18 pages), what was given out, and the
	// bookkeeping.
	CHECK_EQ(count(given), PAGES - 256 - 0x3A - 18 - count(out) - pool);
	CHECK_EQ(boot_memory_used(), 0x30000 + (count(out) + pool) * PAGE_SIZE);
	boot_memory_release_start();
	CHECK_EQ(given[image.start_only.v / PAGE_SIZE], 1);
	CHECK_EQ(given[image.start_only.v / PAGE_SIZE - 1], 0);
}

TEST(keeps_off_what_is_not_ram)
{
	begin();
	range(0, RAM_SIZE, BOOT_RAM);
	range(0x100800, 0x100801, BOOT_ACPI); // one byte takes its page
	range(3 * MiB, 4 * MiB, BOOT_NVS);
	range(4 * MiB + 1, 5 * MiB - 1, BOOT_BAD);
	boot_memory_init(&info, &image);
	CHECK_EQ(alloc(PAGE_SIZE).v, 0x101000);
	for (int i = 0; i < 300; i++)
		alloc(2 * PAGE_SIZE);
	boot_memory_handover();
	check_pages();
}

TEST(gives_ram_named_twice_once)
{
	begin();
	range(MiB, 20 * MiB, BOOT_RAM);
	range(10 * MiB, RAM_SIZE, BOOT_RAM);
	range(5 * MiB, 12 * MiB + 17, BOOT_RAM);
	boot_memory_init(&info, &image);
	alloc(9 * MiB);
	boot_memory_handover();
	check_pages();
	CHECK_EQ(given[11 * MiB / PAGE_SIZE] + out[11 * MiB / PAGE_SIZE], 1);
	CHECK_EQ(given[30 * MiB / PAGE_SIZE], 1);
}

TEST(bears_random_maps)
{
	srand(1);
	for (int round = 0; round < 300; round++) {
		begin();
		range(MiB, 6 * MiB, BOOT_RAM);
		for (int i = 0; i < 12; i++) {
			u64 start = (u64)rand() % RAM_SIZE, size = 1 + (u64)rand() % (8 * MiB);

			if (start < 6 * MiB) // leave room to begin with
				start += 6 * MiB;
			range(start, MIN(start + size, RAM_SIZE), 1 + (u32)rand() % 5);
			if (info.map[info.map_count - 1].start >= info.map[info.map_count - 1].end)
				info.map_count--;
		}
		boot_memory_init(&info, &image);
		for (int i = 0; i < 20; i++)
			alloc((1 + (size_t)rand() % 20) * PAGE_SIZE);
		boot_memory_handover();
		check_pages();
	}
}

TEST(panics_without_memory)
{
	begin();
	range(0, 2 * MiB, BOOT_RAM);
	boot_memory_init(&info, &image);
	CHECK(FAKE_PANICS(boot_alloc(MiB + PAGE_SIZE)));
	CHECK(!FAKE_PANICS(boot_alloc(MiB)));
	CHECK(FAKE_PANICS(boot_alloc(PAGE_SIZE)));
}

TEST_MAIN()
