// SPDX-License-Identifier: MIT
// What a variable store's device holds, and what becomes of it: the newest copy that is of use. Portable; believes nothing.
#pragma once

#include "storage/twin.h"

struct twin_found {
	u64 generation; // the newest of all
	unsigned slot;  // of the copy that counts; the next generation goes to the other one
	bool begun;     // the device has a header of ours
};

// Looks at the device's first twin_area(blocks) bytes, which were read into memory. NULL: `data`, if it is not NULL, holds the copy,
// the newest that is usable, else the newest; it is left as it is where there is none yet. Else why the device cannot be used.
const char *twin_restore(const u8 *area, u32 blocks, bool (*usable)(const u8 *data, u64 size),
	u8 *data, struct twin_found *found);
