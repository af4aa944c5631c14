// SPDX-License-Identifier: MIT
// A parallel NOR flash with Intel's command set and byte-wide bus, as UEFI firmware for emulated machines expects one
// for its variables: what is written to it are commands.
//
// Programming clears bits, erasing sets all of a block. Everything is done within the access: the chip is never busy. Its
// status is 0 after it was cleared, as in QEMU's, by which such firmware knows an emulated chip. There are no locks and no
// suspended commands. Source: Intel, StrataFlash Memory (J3) data sheet, section 9; JEDEC JESD68.01 (CFI).
#pragma once

#include "lib/types.h"

#define PFLASH_BLOCK  4096u // bytes that are erased together
#define PFLASH_BUFFER 256u  // bytes that one buffered write takes at most

struct pflash;

struct pflash_ops {
	// [offset, offset + bytes) has other contents now, within the chip.
	void (*changed)(struct pflash *f, u32 offset, u32 bytes);
	// From now on reads give the array: it may be read without a call. Or they do not any more.
	void (*readable)(struct pflash *f, bool array);
};

enum pflash_cycle { // what the next write is
	PFLASH_COMMAND,
	PFLASH_PROGRAM, // a datum
	PFLASH_ERASE,   // the confirmation
	PFLASH_LOCK,    // of a lock's setting
	PFLASH_COUNT,   // of a buffered write: bytes less one
	PFLASH_FILL,    // its data
	PFLASH_CONFIRM, // its confirmation
};

enum pflash_mode { PFLASH_ARRAY, PFLASH_STATUS, PFLASH_ID, PFLASH_QUERY }; // what reads give

struct pflash {
	const struct pflash_ops *ops;
	u8 *data; // the owner's
	u32 size; // whole blocks
	enum pflash_cycle cycle;
	enum pflash_mode mode;
	u8 status;
	u32 left;  // bytes of a buffered write that are to come
	u32 start; // where it goes; ~0: the first byte says it
	u8 buffer[PFLASH_BUFFER];
};

// data[size] is the array's contents; size a multiple of PFLASH_BLOCK. Reads give the array.
void pflash_init(struct pflash *f, const struct pflash_ops *ops, u8 *data, u32 size);

// As after power-on. What is in the array stays.
void pflash_reset(struct pflash *f);

// Accesses of 1, 2, 4 or 8 bytes. What lies outside of the chip reads as ones and is not written.
u64 pflash_read(const struct pflash *f, u64 offset, unsigned size);
void pflash_write(struct pflash *f, u64 offset, unsigned size, u64 value);
