// SPDX-License-Identifier: MIT
// The private part of a snapshot: a page of its own for each page of the image that was written.
//
// What it may come to need is promised when it is made (vm->promised), so that a guest which fills its disk takes no
// memory from another VM's RAM.
#pragma once

#include "lib/types.h"

struct vm;

struct disk_pages {
	struct vm *vm;
	u8 ***table; // [pages / 512] of tables of pointers to pages; NULL: not there
	u64 pages;
};

// For an image of so many pages. false: not enough memory.
bool disk_pages_init(struct disk_pages *p, struct vm *vm, u64 pages);
void disk_pages_destroy(struct disk_pages *p); // everything goes back

// Page i, below p->pages; NULL: there is none.
u8 *disk_pages_get(const struct disk_pages *p, u64 i);

// The same, made (zeroed) if need be; *fresh tells. NULL: no memory.
u8 *disk_pages_make(struct disk_pages *p, u64 i, bool *fresh);

// Gives page i back; harmless if there is none.
void disk_pages_drop(struct disk_pages *p, u64 i);
