// SPDX-License-Identifier: MIT
// Reads a GUID partition table (UEFI 2.10, 5.3): both copies, their checksums, the protective MBR. Portable;
// believes nothing.
#pragma once

#include "lib/types.h"

#define GPT_PARTITIONS 64
#define GPT_BLOCK_MAX  4096

struct gpt_partition {
	u64 first, last; // blocks, both included
	u8 type[16], uuid[16];
	unsigned number; // of its entry, from 1
	char name[37];   // what of it is printable ASCII; others are ?
};

struct gpt {
	// The caller's: reads one block; 0 or an error.
	int (*read)(void *arg, u64 block, void *to);
	void *arg;
	u32 block_size; // 512 .. GPT_BLOCK_MAX, a power of two
	u64 blocks;

	struct gpt_partition partitions[GPT_PARTITIONS]; // in the order of the table
	unsigned count;
	u8 block[GPT_BLOCK_MAX];
};

// True: the partitions are known; *why is NULL, or says what is wrong with the first copy of the table.
// False: there is no table that can be used; *why says what was found. Partitions lie within the disk and do
// not overlap. At most 64 are kept.
bool gpt_read(struct gpt *g, const char **why);

// As text: 8-4-4-4-12 digits and a zero byte.
void gpt_uuid_text(const u8 uuid[16], char text[37]);
