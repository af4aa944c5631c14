// SPDX-License-Identifier: MIT
// What is in a guest's memory map beside RAM of its own: read-only pages of the kernel's, devices of the machine, and RAM where
// the machine has it. The kernel never takes the first two for RAM, and they go as they came.
// link: kernel/vm/gmap.c kernel/core/frame.c tests/unit/fake/arch.c
#include "tests/unit/test.h"
#include "kernel/core/frame.h"
#include "kernel/core/pcpu.h"
#include "kernel/vm/gmap.h"
#include "kernel/x86/hvm.h"

#define RAM   (16 * MiB)
#define PLACE 0xffc00000ull // of the ROM; RAM of the guest follows
#define SIZE  (8 * PAGE_SIZE)
#define OWNER 3u

static const struct hvm_ops ops = {.pte_table = 0x7, .pte_leaf_rwx = 0x7, .pte_large = 0x80};
const struct hvm_ops *hvm = &ops;

static struct gmap map;
static u8 *rom;
static void *pool;
static u64 free_before;

static void start(void)
{
	fake_reset(1);
	fake_ram(RAM);
	free(pool);
	pool = malloc(frame_bookkeeping_size(hpa(RAM)));
	frame_init(hpa(RAM), pool);
	frame_add_range(hpa(0), hpa(RAM));
	free_before = frame_free_count();
	rom = kmem_alloc(SIZE, FRAME_OWNER_KERNEL);
	CHECK(rom && !gmap_init(&map, OWNER));
	gmap_add_ram(&map, PLACE + SIZE, PLACE + MiB);
}

static void end(void)
{
	gmap_destroy(&map);
	kmem_free(rom, SIZE);
	CHECK_EQ(frame_free_count(), free_before);
}

// The last level's entry, as a processor walks to it; 0: a table is missing.
static u64 walk(u64 gpa)
{
	hpa_t at = map.root;
	u64 entry = 0;

	for (int shift = 39; shift >= 12; shift -= 9) {
		entry = ((u64 *)hpa_to_va(at))[gpa >> shift & 511];
		if (!entry)
			return 0;
		at = hpa(entry & 0x000ffffffffff000ull);
	}
	return entry;
}

TEST(pages_can_be_read_only)
{
	start();
	CHECK(gmap_map_rom(&map, PLACE, rom, SIZE));
	for (u64 at = 0; at < SIZE; at += PAGE_SIZE)
		CHECK_EQ(walk(PLACE + at), va_to_hpa(rom + at).v | 5);
	CHECK_EQ(walk(PLACE + SIZE), 0);
	CHECK_EQ(map.populated, 0);
	gmap_unmap_rom(&map, PLACE, SIZE);
	end();
}

TEST(not_for_the_kernels_accesses)
{
	struct gmap_gone gone;

	start();
	CHECK(gmap_map_rom(&map, PLACE, rom, SIZE));
	CHECK(!gmap_is_ram(&map, PLACE));
	for (u64 at = 0; at < SIZE; at += PAGE_SIZE)
		CHECK(!gmap_ptr(&map, PLACE + at) && !gmap_look(&map, PLACE + at));
	CHECK(gmap_ptr(&map, PLACE + SIZE)); // its neighbour is RAM
	gmap_unmap(&map, PLACE, PLACE + SIZE, &gone);
	CHECK_EQ(gone.kind, GMAP_NOTHING);
	CHECK(walk(PLACE));
	gmap_unmap_rom(&map, PLACE, SIZE);
	CHECK(walk(PLACE + SIZE));
	end();
}

TEST(comes_and_goes_without_memory)
{
	u64 free_then;

	start();
	CHECK(gmap_map_rom(&map, PLACE, rom, SIZE));
	free_then = frame_free_count();
	for (unsigned i = 0; i < 5; i++) {
		gmap_unmap_rom(&map, PLACE, SIZE);
		CHECK_EQ(walk(PLACE) | walk(PLACE + SIZE - 1), 0);
		gmap_unmap_rom(&map, PLACE, SIZE); // harmless
		CHECK(gmap_map_rom(&map, PLACE, rom, SIZE));
		CHECK(gmap_map_rom(&map, PLACE, rom, SIZE)); // the same
	}
	CHECK_EQ(frame_free_count(), free_then);
	gmap_unmap_rom(&map, PLACE, SIZE);
	end();
}

TEST(out_of_memory)
{
	static hpa_t taken[RAM / PAGE_SIZE];
	u64 n = 0;

	start();
	do
		taken[n] = frame_alloc(OWNER, FRAME_GUEST, ORDER_4K);
	while (!hpa_is_none(taken[n++]));
	CHECK(!gmap_map_rom(&map, PLACE, rom, SIZE));
	CHECK_EQ(walk(PLACE), 0);
	while (--n)
		frame_free(taken[n - 1], ORDER_4K);
	end();
}

TEST(devices_of_the_machine)
{
	start();
	CHECK(gmap_map_device(&map, 0xfeb00000, PAGE_SIZE));
	CHECK_EQ(walk(0xfeb00000) & ~BIT(52), 0xfeb00000 | 7);
	CHECK(!gmap_look(&map, 0xfeb00000) && !gmap_ptr(&map, 0xfeb00000));
	CHECK(gmap_map_device(&map, 0xe0000000, 2 * MiB));
	CHECK(!gmap_look(&map, 0xe0012345) && !gmap_ptr(&map, 0xe0012345));
	CHECK(!gmap_map_device(&map, 0xfeb00000, PAGE_SIZE)); // it is there
	CHECK(!gmap_map_device(&map, 0xfea00000, 2 * MiB));   // a page of it is
	end();                                                // they are not given back
}

TEST(ram_where_the_machine_has_it)
{
	start();
	map.identity = true;
	gmap_add_ram(&map, 4 * MiB, 8 * MiB);
	CHECK(frame_claim(hpa(4 * MiB), OWNER) && frame_claim(hpa(6 * MiB), OWNER));
	CHECK(gmap_ptr(&map, 4 * MiB + 0x1234) == (u8 *)hpa_to_va(hpa(4 * MiB)) + 0x1234);
	CHECK(!gmap_populate(&map, 7 * MiB));
	CHECK(gmap_look(&map, 7 * MiB) == hpa_to_va(hpa(7 * MiB)));
	end();
}

TEST_MAIN()
