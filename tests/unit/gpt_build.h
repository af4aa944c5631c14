// SPDX-License-Identifier: MIT
// A disk with a GUID partition table, for tests and the fuzzer.
#pragma once

#include "storage/crc32.h"
#include "storage/gpt.h"

#include <string.h>

#define GPT_DISK_BLOCKS 128u
#define GPT_ENTRIES     8u

static u8 gpt_disks[2][GPT_DISK_BLOCKS * 4096];
static u8 *gpt_disk = gpt_disks[0]; // the one in use
static u32 gpt_block_size;
static u64 gpt_bad_block; // cannot be read; 0: all can

static int gpt_disk_read(void *arg, u64 block, void *to)
{
	(void)arg;
	if (block >= GPT_DISK_BLOCKS || (gpt_bad_block && block == gpt_bad_block))
		return -5;
	memcpy(to, gpt_disk + block * gpt_block_size, gpt_block_size);
	return 0;
}

static void gpt_put(u8 *at, u64 v, size_t size)
{
	memcpy(at, &v, size);
}

static u64 gpt_entries_of(bool second)
{
	return second ? GPT_DISK_BLOCKS - 3 : 2;
}

static u8 *gpt_header(bool second)
{
	return gpt_disk + (second ? GPT_DISK_BLOCKS - 1 : 1) * gpt_block_size;
}

static u8 *gpt_entry(bool second, unsigned i)
{
	return gpt_disk + gpt_entries_of(second) * gpt_block_size + i * 128;
}

// Puts the checksums of one copy right.
static void gpt_seal(bool second)
{
	u8 *h = gpt_header(second);

	gpt_put(h + 88, crc32_add(0, gpt_entry(second, 0), GPT_ENTRIES * 128), 4);
	gpt_put(h + 16, 0, 4);
	gpt_put(h + 16, crc32_add(0, h, 92), 4);
}

static void gpt_partition_set(bool second, unsigned i, u64 first, u64 last)
{
	u8 *e = gpt_entry(second, i);

	memset(e, 0x11, 16);
	for (unsigned k = 0; k < 16; k++)
		e[16 + k] = (u8)(0x10 * i + k);
	gpt_put(e + 32, first, 8);
	gpt_put(e + 40, last, 8);
	e[56] = 'a';
	e[58] = '"';
}

static void gpt_build_copy(bool second)
{
	u8 *h = gpt_header(second);

	memcpy(h, "EFI PART\0\0\1\0", 12);
	gpt_put(h + 12, 92, 4);
	gpt_put(h + 24, second ? GPT_DISK_BLOCKS - 1 : 1, 8);
	gpt_put(h + 32, second ? 1 : GPT_DISK_BLOCKS - 1, 8);
	gpt_put(h + 40, 8, 8);
	gpt_put(h + 48, GPT_DISK_BLOCKS - 8, 8);
	gpt_put(h + 72, gpt_entries_of(second), 8);
	gpt_put(h + 80, GPT_ENTRIES, 4);
	gpt_put(h + 84, 128, 4);
	gpt_partition_set(second, 0, 8, 15);
	gpt_partition_set(second, 2, 16, GPT_DISK_BLOCKS - 8);
	gpt_seal(second);
}

// Partitions 1 and 3.
static void gpt_build_disk(u32 block_size)
{
	gpt_block_size = block_size;
	memset(gpt_disk, 0, GPT_DISK_BLOCKS * block_size);
	gpt_disk[446 + 16 + 4] = 0xEE;
	gpt_disk[510] = 0x55;
	gpt_disk[511] = 0xAA;
	gpt_build_copy(false);
	gpt_build_copy(true);
}

// To be read from the disk.
static void gpt_begin(struct gpt *g)
{
	gpt_bad_block = 0;
	memset(g, 0, sizeof(*g));
	g->read = gpt_disk_read;
	g->block_size = gpt_block_size;
	g->blocks = GPT_DISK_BLOCKS;
}

__attribute__((unused)) static void gpt_build(struct gpt *g, u32 block_size)
{
	gpt_build_disk(block_size);
	gpt_begin(g);
}
