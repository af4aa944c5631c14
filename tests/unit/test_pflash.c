// SPDX-License-Identifier: MIT
// The flash chip: each command by the data sheet, the firmware's way to find it, and sequences that make no sense.
// link: devices/pflash.c
#include "devices/pflash.h"

#include "tests/unit/test.h"

#define SIZE (8 * PFLASH_BLOCK)

static struct pflash chip;
static u8 *array;
static unsigned changes, modes;
static u32 changed_at, changed_bytes;
static bool readable;

static void chip_changed(struct pflash *f, u32 offset, u32 bytes)
{
	CHECK(f == &chip && bytes && offset < SIZE && bytes <= SIZE - offset);
	changes++;
	changed_at = offset;
	changed_bytes = bytes;
}

static void chip_readable(struct pflash *f, bool is)
{
	CHECK(f == &chip && is != readable);
	modes++;
	readable = is;
}

static const struct pflash_ops ops = {chip_changed, chip_readable};

static void setup(void)
{
	free(array);
	array = malloc(SIZE);
	for (u32 i = 0; i < SIZE; i++)
		array[i] = (u8)(i * 3 + (i >> 8));
	pflash_init(&chip, &ops, array, SIZE);
	changes = modes = 0;
	readable = true;
}

static u8 get(u32 at)
{
	return (u8)pflash_read(&chip, at, 1);
}

static void put(u32 at, u8 value)
{
	pflash_write(&chip, at, 1, value);
}

TEST(array_is_read_in_all_sizes)
{
	u64 value = 0;

	setup();
	for (unsigned size = 1; size <= 8; size *= 2) {
		memcpy(&value, array + 100, size);
		CHECK_EQ(pflash_read(&chip, 100, size), value);
		CHECK_EQ(pflash_read(&chip, SIZE - size, size) == ~0ull, false);
		CHECK_EQ(pflash_read(&chip, SIZE - size + 1, size), ~0ull);
	}
	CHECK_EQ(pflash_read(&chip, ~0ull, 1), ~0ull);
	CHECK_EQ(changes + modes, 0);
}

// How firmware tells a chip from RAM and from ROM: it clears the status, asks for it, and gets 0.
TEST(found_by_firmware)
{
	setup();
	put(7, 0x50);
	CHECK_EQ(get(7), array[7]);
	put(7, 0x70);
	CHECK(!readable);
	CHECK_EQ(get(7), 0);
	put(7, 0xff);
	CHECK(readable);
	CHECK_EQ(get(7), array[7]);
	CHECK_EQ(changes, 0);
}

TEST(programming_clears_bits)
{
	setup();
	array[5000] = 0xf0;
	put(5000, 0x10);
	CHECK(!readable);
	CHECK_EQ(get(5000), 0); // the status
	put(5000, 0x3c);
	CHECK_EQ(array[5000], 0x30);
	CHECK_EQ(get(5000), 0x80);
	CHECK(changes == 1 && changed_at == 5000 && changed_bytes == 1);
	put(5000, 0xff);
	CHECK_EQ(get(5000), 0x30);
	memset(array + 64, 0xff, 8);
	put(64, 0x40);
	pflash_write(&chip, 64, 8, 0x1122334455667788);
	CHECK(array[64] == 0x88 && array[71] == 0x11);
	CHECK_EQ(changed_bytes, 8);
}

TEST(erasing_a_block)
{
	u8 before = (u8)(4095 * 3 + 15), after = (u8)(8192 * 3 + 32);

	setup();
	put(4096 + 77, 0x20);
	CHECK_EQ(changes, 0);
	put(4096 + 77, 0xd0);
	CHECK(changes == 1 && changed_at == 4096 && changed_bytes == PFLASH_BLOCK);
	for (u32 i = 4096; i < 8192; i++)
		CHECK_EQ(array[i], 0xff);
	CHECK(array[4095] == before && array[8192] == after);
	CHECK_EQ(get(0), 0x80);
	put(0, 0x20);
	put(0, 0xff); // no confirmation
	CHECK_EQ(get(0), 0xb0);
	CHECK_EQ(changes, 1);
	put(0, 0x50);
	put(0, 0x70);
	CHECK_EQ(get(0), 0);
}

static void begin_buffered(u32 at, u8 count)
{
	put(at, 0xe8);
	CHECK_EQ(get(at), 0x80);
	put(at, count);
}

TEST(buffered_write)
{
	setup();
	memset(array + 0x300, 0xff, 0x100);
	begin_buffered(0x300, 9);
	for (u32 i = 0; i < 8; i++)
		put(0x310 + i, (u8)(i + 1));
	pflash_write(&chip, 0x320, 2, 0xbbaa);
	CHECK_EQ(changes, 0);
	put(0x300, 0xd0);
	CHECK(changes == 1 && changed_at == 0x300 && changed_bytes == PFLASH_BUFFER);
	CHECK(array[0x30f] == 0xff && array[0x310] == 1 && array[0x317] == 8 &&
		array[0x318] == 0xff && array[0x320] == 0xaa && array[0x321] == 0xbb);
	CHECK_EQ(get(0), 0x80);
}

TEST(buffered_write_gone_wrong)
{
	setup();
	begin_buffered(0x300, 3);
	put(0x3ff, 1);
	put(0x400, 2); // leaves the buffer's part
	CHECK_EQ(get(0), 0xb0);
	put(0, 0x50);
	begin_buffered(0x300, 3);
	put(0x300, 1);
	put(0x2ff, 2);
	CHECK_EQ(get(0), 0xb0);
	put(0, 0x50);
	begin_buffered(0x300, 3);
	pflash_write(&chip, 0x300, 8, 0); // more than were announced
	CHECK_EQ(get(0), 0xb0);
	put(0, 0x50);
	begin_buffered(0x300, 0);
	put(0x300, 0);
	put(0x300, 0xff); // no confirmation
	CHECK_EQ(get(0), 0xb0);
	CHECK_EQ(changes, 0);
}

TEST(identity_and_query)
{
	setup();
	put(0, 0x90);
	CHECK_EQ(get(0), 0x89);
	CHECK_EQ(get(1), 0);
	put(0x55, 0x98);
	CHECK(get(0x10) == 'Q' && get(0x11) == 'R' && get(0x12) == 'Y');
	CHECK_EQ(get(0x13), 1);
	CHECK(get(get(0x15)) == 'P' && get(get(0x15) + 1u) == 'R' && get(get(0x15) + 2u) == 'I');
	CHECK_EQ(1u << get(0x27), SIZE);
	CHECK_EQ(1u << get(0x2a), PFLASH_BUFFER);
	CHECK_EQ(get(0x2c), 1);
	CHECK_EQ((get(0x2d) | get(0x2e) << 8) + 1, SIZE / PFLASH_BLOCK);
	CHECK_EQ((get(0x2f) | get(0x30) << 8) * 256, PFLASH_BLOCK);
	for (u32 at = 0; at < SIZE; at += 97)
		get(at);
	CHECK_EQ(modes, 1);
}

TEST(locks_do_nothing)
{
	setup();
	put(0, 0x60);
	put(0, 0x01);
	CHECK_EQ(get(0), 0x80);
	put(0, 0x10);
	put(0, 0);
	CHECK_EQ(array[0], 0);
}

TEST(no_command_and_no_place)
{
	setup();
	put(0, 0x70);
	put(0, 0xab);
	CHECK(readable);
	put(SIZE, 0x70);
	pflash_write(&chip, SIZE - 1, 2, 0x70);
	pflash_write(&chip, ~0ull, 1, 0x70);
	CHECK(readable);
	put(0, 0x20);
	put(SIZE, 0xd0);
	CHECK_EQ(changes, 0);
	put(0, 0xd0);
	CHECK_EQ(changes, 1);
}

TEST(reset_in_the_middle)
{
	setup();
	put(0, 0x10);
	pflash_reset(&chip);
	CHECK(readable);
	put(0, 0);
	CHECK_EQ(changes, 0);
	put(0, 0x20);
	put(0, 1);
	pflash_reset(&chip);
	put(0, 0x70);
	CHECK_EQ(get(0), 0);
}

TEST_MAIN()
