// SPDX-License-Identifier: MIT
// ACPI's table of AMD IOMMUs: QEMU's, one of a server with several IOMMUs, and such as lie.
//
// link: drivers/amd_iommu/ivrs.c
#include "drivers/amd_iommu/ivrs.h"
#include "tests/unit/test.h"

static u8 table[8192];
static u32 size;
static struct ivrs ivrs;

static void begin(void)
{
	memset(table, 0, sizeof(table));
	size = 48;
}

static void add(const void *bytes, u32 n)
{
	memcpy(table + size, bytes, n);
	size += n;
}

// A block of an IOMMU: its header, then so many bytes of entries.
static void iommu(u8 kind, u16 address, u64 base, u16 segment, const void *entries, u32 n)
{
	u8 header[40] = {kind, IVHD_HT_TUNNEL};
	u32 length = kind == 0x10 ? 24 : 40;

	header[2] = (u8)(length + n);
	header[3] = (u8)((length + n) >> 8);
	memcpy(header + 4, &address, 2);
	header[6] = 0x40;
	memcpy(header + 8, &base, 8);
	memcpy(header + 16, &segment, 2);
	add(header, length);
	add(entries, n);
}

// In memory of just its size, so that a read beyond it is found.
static void read_table(void)
{
	u8 *copy = malloc(size);

	memcpy(copy, table, size);
	ivrs_read(&ivrs, copy, size);
	free(copy);
}

static const u8 everything[] = {1, 0, 0, 0};

TEST(one_for_all)
{
	begin();
	iommu(0x10, 0x18, 0xFED80000, 0, everything, sizeof(everything));
	read_table();
	CHECK_EQ(ivrs.iommu_count, 1);
	CHECK_EQ(ivrs.iommus[0].address, 0x18);
	CHECK_EQ(ivrs.iommus[0].capability, 0x40);
	CHECK_EQ(ivrs.iommus[0].base.v, 0xFED80000);
	CHECK_EQ(ivrs.iommus[0].flags, IVHD_HT_TUNNEL);
	CHECK(ivrs_find(&ivrs, 0) && ivrs_find(&ivrs, 0xFFFF));
	CHECK_EQ(ivrs.left_out, 0);
}

TEST(selected_ranges_and_aliases)
{
	static const u8 entries[] = {
		2, 0x10, 0, 0,                // 00:02.0
		0,                            // padding of 4 bytes
		0, 0, 0,                      //
		3, 0, 1, 0, 4, 0xFF, 1, 0,    // bus 1
		0x43, 0, 2, 0, 0, 0x28, 0, 0, // bus 2 comes as 00:05.0
		4, 0xFF, 2, 0,                //
		0x42, 8, 3, 0, 0, 0, 3, 0,    // 03:01.0 comes as 03:00.0
		72, 0, 0, 0, 0, 0xA0, 0, 1,   // the I/O APIC
		0x46, 0x10, 3, 0, 0, 0, 0, 0, // 03:02.0
		0xF0, 0x20, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 'a', 'b',
		'c', 2, 0x18, 3, 0, // 03:03.0
	};

	begin();
	iommu(0x11, 0x18, 0xFED80000, 0, entries, sizeof(entries));
	read_table();
	CHECK_EQ(ivrs.chip_count, 1);
	CHECK_EQ(ivrs.ioapic_count, 1);
	CHECK_EQ(ivrs.chips[0], 0xA0);
	CHECK_EQ(ivrs.range_count, 6);
	CHECK(ivrs_find(&ivrs, 0x10) && !ivrs_find(&ivrs, 0x11) && !ivrs_find(&ivrs, 0));
	CHECK(ivrs_find(&ivrs, 0x100) && ivrs_find(&ivrs, 0x1FF));
	CHECK(!ivrs_find(&ivrs, 0x100)->aliased);
	CHECK(ivrs_find(&ivrs, 0x234)->aliased);
	CHECK_EQ(ivrs_find(&ivrs, 0x234)->alias, 0x28);
	CHECK_EQ(ivrs_find(&ivrs, 0x308)->alias, 0x300);
	CHECK(ivrs_find(&ivrs, 0x310) && ivrs_find(&ivrs, 0x318) && !ivrs_find(&ivrs, 0x320));
}

TEST(the_best_description_counts)
{
	static const u8 few[] = {2, 8, 0, 0}, more[] = {3, 8, 0, 0, 4, 16, 0, 0};

	begin();
	iommu(0x10, 2, 0x1000000, 0, few, sizeof(few));
	iommu(0x11, 2, 0x2000000, 0, more, sizeof(more));
	iommu(0x11, 2, 0x3000000, 0, few, sizeof(few));
	iommu(0x10, 0x102, 0x4000000, 0, few, sizeof(few));
	read_table();
	CHECK_EQ(ivrs.iommu_count, 2);
	CHECK_EQ(ivrs.iommus[0].base.v, 0x2000000);
	CHECK_EQ(ivrs.iommus[1].address, 0x102);
	CHECK_EQ(ivrs.range_count, 2);
	CHECK_EQ(ivrs_find(&ivrs, 8)->iommu, 1); // the later entry
	CHECK_EQ(ivrs_find(&ivrs, 9)->iommu, 0);
}

TEST(wishes_and_other_segments)
{
	static const u8 wish[32] = {0x21, 1, 32, 0};

	begin();
	add(wish, sizeof(wish));
	iommu(0x10, 2, 0x1000000, 1, everything, sizeof(everything));
	iommu(0x10, 2, 0x2000000, 0, everything, sizeof(everything));
	read_table();
	CHECK_EQ(ivrs.wishes, 1);
	CHECK_EQ(ivrs.left_out, 1);
	CHECK_EQ(ivrs.iommu_count, 1);
	CHECK_EQ(ivrs.iommus[0].base.v, 0x2000000);
}

TEST(lengths_that_lie)
{
	static const u8 end_alone[] = {4, 9, 0, 0, 3, 9, 0, 0, 4, 8, 0, 0};

	begin();
	iommu(0x10, 2, 0x1000000, 0, everything, sizeof(everything));
	iommu(0x10, 3, 0x2000000, 0, everything, sizeof(everything));
	table[50] = 23; // shorter than its header: no IOMMU, and the next block is somewhere in it
	read_table();
	CHECK_EQ(ivrs.iommu_count, 0);
	table[50] = 3; // the list ends
	read_table();
	CHECK_EQ(ivrs.iommu_count, 0);
	table[50] = 28;
	table[51] = 1; // longer than the table
	read_table();
	CHECK_EQ(ivrs.iommu_count, 0);
	table[51] = 0;
	size -= 1; // the last one is cut off
	read_table();
	CHECK_EQ(ivrs.iommu_count, 1);
	begin();
	iommu(0x10, 2, 0x1000000, 0, end_alone, sizeof(end_alone));
	read_table();
	CHECK_EQ(ivrs.range_count, 0);
	ivrs_read(&ivrs, table, 20);
	CHECK_EQ(ivrs.iommu_count, 0);
}

TEST(more_than_there_is_room_for)
{
	static u8 many[4 * 300];

	for (u32 i = 0; i < 300; i++) {
		many[4 * i] = 2;
		many[4 * i + 1] = (u8)i;
		many[4 * i + 2] = (u8)(i >> 8);
	}
	begin();
	for (u16 i = 0; i < 20; i++)
		iommu(0x10, i, 0x1000000, 0, i ? everything : many, i ? 4 : sizeof(many));
	read_table();
	CHECK_EQ(ivrs.iommu_count, IVRS_IOMMUS);
	CHECK_EQ(ivrs.range_count, IVRS_RANGES);
	CHECK_EQ(ivrs.left_out, 300 - IVRS_RANGES + 15 + 4);
}

TEST_MAIN()
