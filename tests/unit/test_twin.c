// SPDX-License-Identifier: MIT
// Two copies in turn: a loss of power after any sector of any write leaves the old generation or the new one.
// link: storage/twin.c storage/crc32.c
#include "storage/twin.h"

#include "tests/unit/test.h"

#define BLOCKS 127u // a header of two sectors, so that it can be torn
#define SECTOR 512u
#define AREA   (2 * (BLOCKS + 1) * TWIN_BLOCK)

static u8 area[AREA], image[(BLOCKS + 1) * TWIN_BLOCK];
static unsigned slot;
static u64 generation;
static long budget; // sectors that are still written before the power goes

// Sectors of a write reach the disk in an order of the disk's own.
static void disk_write(u32 to, const u8 *from, u32 bytes)
{
	u32 sectors = bytes / SECTOR;

	for (u32 i = 0; i < sectors && budget > 0; i++, budget--) {
		u32 at = (i * 5 + 3) % sectors; // each once, as 5 does not divide their number

		memcpy(area + to + at * SECTOR, from + at * SECTOR, SECTOR);
	}
}

static void fill(u8 value)
{
	struct twin_header *h = (void *)image;

	for (u32 i = 0; i < BLOCKS; i++) {
		memset(image + (i + 1) * TWIN_BLOCK, value + (int)i, TWIN_BLOCK);
		twin_sum(h, i, image + (i + 1) * TWIN_BLOCK);
	}
}

static void begin(void)
{
	twin_seal((void *)image, BLOCKS, 0);
	disk_write(twin_slot(BLOCKS), image, TWIN_BLOCK);
}

static void save(unsigned to, u64 number, u8 value)
{
	fill(value);
	disk_write(to * twin_slot(BLOCKS) + TWIN_BLOCK, image + TWIN_BLOCK, BLOCKS * TWIN_BLOCK);
	twin_seal((void *)image, BLOCKS, number);
	disk_write(to * twin_slot(BLOCKS), image, TWIN_BLOCK);
}

static enum twin_state look(void)
{
	return twin_look(area, BLOCKS, &slot, &generation);
}

static bool holds(u8 value)
{
	const u8 *data = area + slot * twin_slot(BLOCKS) + TWIN_BLOCK;

	for (u32 i = 0; i < BLOCKS * TWIN_BLOCK; i++)
		if (data[i] != (u8)(value + i / TWIN_BLOCK))
			return false;
	return true;
}

static void setup(long sectors)
{
	memset(area, 0, sizeof(area));
	memset(image, 0, sizeof(image));
	budget = sectors;
}

TEST(a_life)
{
	setup(1000000);
	CHECK_EQ(look(), TWIN_NEW);
	begin();
	CHECK_EQ(look(), TWIN_EMPTY);
	for (u64 n = 1; n < 6; n++) {
		save((n + 1) % 2, n, (u8)(n * 10));
		CHECK_EQ(look(), TWIN_GOOD);
		CHECK(generation == n && slot == (n + 1) % 2 && holds((u8)(n * 10)));
		CHECK_EQ(twin_good(area, BLOCKS, n % 2, &generation), n > 1);
		CHECK_EQ(generation, n - 1);
	}
}

// At every sector of a header, and at some of the data.
TEST(power_lost)
{
	const long header = 8, each = header * (BLOCKS + 1);

	for (long cut = 0, step; cut <= header + 3 * each; cut += step) {
		long whole = cut < header ? 0 : (cut - header) / each;
		long into = cut < header ? 0 : (cut - header) % each; // the next generation
		bool sealing = into > each - header;
		enum twin_state state;

		step = sealing || into == 0 ? 1 : MIN(150, each - header - into + 1);
		setup(cut);
		begin();
		save(0, 1, 10);
		save(1, 2, 20);
		save(0, 3, 30);
		state = look();
		if (state == TWIN_GOOD) {
			CHECK(generation == (u64)whole ||
				(sealing && generation == (u64)whole + 1));
			CHECK(holds((u8)(generation * 10)));
		} else {
			CHECK(!whole && (state == TWIN_EMPTY || state == TWIN_NEW));
		}
	}
}

TEST(damage)
{
	setup(1000000);
	begin();
	save(0, 1, 10);
	area[2 * TWIN_BLOCK] ^= 1;
	CHECK_EQ(look(), TWIN_DAMAGED); // it was finished, so this is not a loss of power
	area[2 * TWIN_BLOCK] ^= 1;
	save(1, 2, 20);
	area[twin_slot(BLOCKS) + 3 * TWIN_BLOCK + 17] ^= 4;
	CHECK_EQ(look(), TWIN_GOOD);
	CHECK_EQ(generation, 1);
	area[TWIN_BLOCK] ^= 1;
	CHECK_EQ(look(), TWIN_DAMAGED);
	area[8] ^= 1; // and a header
	CHECK_EQ(look(), TWIN_DAMAGED);
}

TEST(other_contents)
{
	setup(0);
	area[AREA - 1] = 1;
	CHECK_EQ(look(), TWIN_FOREIGN);
	memset(area, 0xe5, sizeof(area));
	CHECK_EQ(look(), TWIN_FOREIGN);
	setup(1000000);
	begin();
	save(0, 1, 10);
	CHECK_EQ(twin_look(area, BLOCKS - 1, &slot, &generation), TWIN_OTHER);
}

// A header that says more blocks than there is room for is not believed, however well it adds up.
TEST(header_that_lies)
{
	setup(1000000);
	begin();
	save(0, 1, 10);
	twin_seal((void *)image, TWIN_BLOCKS + 1, 5);
	memcpy(area, image, TWIN_BLOCK);
	CHECK_EQ(look(), TWIN_EMPTY);
	twin_seal((void *)image, TWIN_BLOCKS, 5);
	memcpy(area, image, TWIN_BLOCK);
	CHECK_EQ(look(), TWIN_OTHER);
}

TEST_MAIN()
