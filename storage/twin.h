// SPDX-License-Identifier: MIT
// Two copies of one small piece of data on a disk, written in turn, so that at every moment one of them is whole.
//
// The area is slot 0, then slot 1. A slot is a header of one block, then the data. A header tells the generation of its
// data, their size, and a checksum of each block. Who writes a new generation takes the slot that does not hold the newest:
// data, flush, header, flush. A loss of power at any moment leaves the old generation or the new one. An area of zeros
// is a new one; before its first data a header of generation 0 is written, which fits into one sector.
// Portable; believes nothing.
#pragma once

#include "lib/types.h"

#define TWIN_BLOCK  4096u
#define TWIN_BLOCKS 254u // of data at most

// On the disk, little-endian.
struct twin_header {
	u8 magic[8];
	u32 crc; // of the header, with this as 0
	u32 blocks;
	u64 generation; // 0: there are no data
	u32 block_crc[TWIN_BLOCKS];
	u8 zeros[TWIN_BLOCK - 24 - 4 * TWIN_BLOCKS];
};

_Static_assert(sizeof(struct twin_header) == TWIN_BLOCK, "one block");

// Bytes of a slot, and of the area, for so many blocks of data.
static inline u32 twin_slot(u32 blocks)
{
	return (blocks + 1) * TWIN_BLOCK;
}

static inline u32 twin_area(u32 blocks)
{
	return 2 * twin_slot(blocks);
}

enum twin_state {
	TWIN_GOOD,    // *slot holds the newest data, *generation is theirs
	TWIN_NEW,     // all zero: nobody's
	TWIN_EMPTY,   // begun, but there are no data yet
	TWIN_DAMAGED, // neither slot is whole
	TWIN_OTHER,   // data of another size
	TWIN_FOREIGN, // something else
};

// Looks at an area, which was read into memory.
enum twin_state twin_look(const u8 *area, u32 blocks, unsigned *slot, u64 *generation);

// Is this slot whole, with data of so many blocks? *generation is theirs then.
bool twin_good(const u8 *area, u32 blocks, unsigned slot, u64 *generation);

// Notes the checksum of data block i, of block_crc.
void twin_sum(struct twin_header *h, u32 i, const u8 *block);

// Makes a header, whose block_crc are right already, good for this generation; for 0 everything else of it is zero.
void twin_seal(struct twin_header *h, u32 blocks, u64 generation);
