// SPDX-License-Identifier: MIT
// GUID partition tables: good, broken in one copy or both, and lying.
//
// link: storage/gpt.c storage/crc32.c lib/format.c
#include "tests/unit/gpt_build.h"
#include "tests/unit/test.h"

static struct gpt g;
static const char *why;

static void check_good(void)
{
	CHECK_EQ(g.count, 2);
	CHECK_EQ(g.partitions[0].number, 1);
	CHECK_EQ(g.partitions[0].first, 8);
	CHECK_EQ(g.partitions[0].last, 15);
	CHECK_EQ(g.partitions[1].number, 3);
	CHECK_EQ(g.partitions[1].last, GPT_DISK_BLOCKS - 8);
}

// True when the first copy is refused for this reason and the second used.
static bool second_used(const char *reason)
{
	why = NULL;
	if (!gpt_read(&g, &why) || !why || !strstr(why, reason)) {
		fprintf(stderr, "why: %s\n", why ? why : "none");
		return false;
	}
	check_good();
	return true;
}

TEST(crc)
{
	CHECK_EQ(crc32_add(0, "123456789", 9), 0xCBF43926);
	CHECK_EQ(crc32_add(crc32_add(0, "1234", 4), "56789", 5), 0xCBF43926);
}

TEST(good)
{
	char text[37];

	for (u32 size = 512; size <= 4096; size *= 8) {
		gpt_build(&g, size);
		CHECK(gpt_read(&g, &why) && !why);
		check_good();
	}
	CHECK(strcmp(g.partitions[0].name, "a?") == 0);
	gpt_uuid_text(g.partitions[1].uuid, text);
	CHECK(strcmp(text, "23222120-2524-2726-2829-2a2b2c2d2e2f") == 0);
}

TEST(no_table)
{
	gpt_build(&g, 512);
	gpt_disk[446 + 16 + 4] = 0x83;
	CHECK(!gpt_read(&g, &why) && strstr(why, "MBR"));
	gpt_disk[510] = 0;
	CHECK(!gpt_read(&g, &why) && strstr(why, "no partition table"));
	gpt_build(&g, 512);
	g.blocks = 5;
	CHECK(!gpt_read(&g, &why) && strstr(why, "too small"));
}

TEST(second_copy)
{
	gpt_build(&g, 512);
	gpt_header(false)[60] ^= 1;
	CHECK(second_used("header's checksum"));
	gpt_build(&g, 512);
	gpt_header(false)[0] = 'X';
	CHECK(second_used("no header"));
	gpt_build(&g, 512);
	gpt_entry(false, 2)[40] ^= 1;
	CHECK(second_used("checksum of its entries"));
	gpt_build(&g, 512);
	gpt_bad_block = 1;
	CHECK(second_used("header cannot be read"));
	gpt_bad_block = 3;
	CHECK(second_used("entries cannot be read"));
}

TEST(both_bad)
{
	gpt_build(&g, 512);
	gpt_header(false)[60] ^= 1;
	gpt_entry(true, 0)[33] ^= 1;
	CHECK(!gpt_read(&g, &why) && strstr(why, "header's checksum"));
	CHECK_EQ(g.count, 0);
}

// The number of `size` bytes at `offset` of the first header, and the complaint that it leads to.
static void lie(u32 offset, u64 v, size_t size, const char *reason)
{
	gpt_build(&g, 512);
	gpt_put(gpt_header(false) + offset, v, size);
	gpt_put(gpt_header(false) + 16, 0, 4);
	gpt_put(gpt_header(false) + 16, crc32_add(0, gpt_header(false), 92), 4);
	CHECK(second_used(reason));
}

TEST(lies)
{
	lie(12, 91, 4, "checksum");
	lie(12, 513, 4, "checksum");
	lie(12, ~0u, 4, "checksum");
	lie(24, 7, 8, "another place");
	lie(40, 121, 8, "usable blocks");
	lie(40, 1, 8, "usable blocks");
	lie(48, GPT_DISK_BLOCKS, 8, "usable blocks");
	lie(48, ~0ull, 8, "usable blocks");
	lie(72, 1, 8, "entries do not lie");
	lie(72, ~0ull, 8, "entries do not lie");
	lie(72, GPT_DISK_BLOCKS - 1, 8, "entries do not lie");
	lie(80, ~0u, 4, "strange size");
	lie(84, 0, 4, "strange size");
	lie(84, 192, 4, "strange size");
	lie(84, 1u << 31, 4, "strange size");
}

static void bad_partition(u64 first, u64 last, const char *reason)
{
	gpt_build(&g, 512);
	gpt_partition_set(false, 1, first, last);
	gpt_seal(false);
	CHECK(second_used(reason));
}

TEST(bad_partitions)
{
	bad_partition(15, 15, "overlap");
	bad_partition(0, ~0ull, "usable");
	bad_partition(7, 7, "usable");
	bad_partition(12, 11, "usable");
	bad_partition(16, GPT_DISK_BLOCKS - 7, "usable");
}

TEST_MAIN()
