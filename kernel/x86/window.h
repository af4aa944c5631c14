// SPDX-License-Identifier: MIT
// Kernel addresses for what has to lie in one piece and is longer than what kmem_alloc gives: WINDOW_PIECES pieces of up to
// WINDOW_PIECE bytes, made of frames wherever they are.
//
// A piece is made by one CPU at a time, by its user's means. It goes in two steps, since processors remember mappings, and may
// follow them, and write into their tables, though nobody asks them to: it is closed, and when every CPU has called paging_flush after
// that, freed.
#pragma once

#include "lib/addr.h"

#define WINDOW_AREA   0xFFFFD00000000000ull
#define WINDOW_PIECE  GiB
#define WINDOW_PIECES 64u

// Once, while one CPU runs; false: out of memory.
bool window_init(void);

void *window_at(unsigned n);

// Adds zeroed memory of the owner's (frame.h) at the end of piece n, which has `at` bytes, at most `left`, both whole pages. Returns
// how many bytes; 0: out of memory.
u64 window_grow(unsigned n, u64 at, u64 left, u16 owner);

// Takes the piece out of the window, which has room for another one there then; what window_free wants, NULL: it had nothing.
void *window_close(unsigned n);

// Gives back all frames of what was closed, and its tables.
void window_free(void *closed);
