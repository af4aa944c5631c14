// SPDX-License-Identifier: MIT
// The frame allocator: all RAM of the machine in 4 KiB frames and 2 MiB blocks, each frame with
// owner and type.
//
// A block of 2 MiB is whole and free (scrubbed or dirty), whole and used, or broken into frames. A frame of a guest lies in a
// block that is RAM throughout as long as there are such ones: the root VM's Linux knows memory of others by blocks.
// What is given out is always zero: scrubbing is done ahead of need by idle CPUs
// (frame_scrub_slice), or else at allocation. The bookkeeping takes 2 bytes a frame and about 160
// bytes a block (1.1 MiB for 2 GiB of RAM).
#pragma once

#include "lib/addr.h"

enum frame_type {
	FRAME_RESERVED, // not RAM, firmware's, or the kernel image
	FRAME_FREE,
	FRAME_KERNEL, // stacks, structures, bookkeeping
	FRAME_TABLE,  // second-level page tables of a VM
	FRAME_GUEST,  // a VM's RAM
};

enum frame_order { ORDER_4K = 0, ORDER_2M = 9 };

#define FRAME_OWNER_KERNEL 0 // owners: 0 is the kernel, else the VM's id (1..4095)

// Boot only: the bookkeeping for RAM below `end` is placed into [pool, pool +
// frame_bookkeeping_size(end)), memory of the direct map that the caller found; all frames start as
// FRAME_RESERVED.
size_t frame_bookkeeping_size(hpa_t end);
void frame_init(hpa_t end, void *pool);

// Boot only: [start, end) is free RAM (rounded inwards to frames; content unknown).
void frame_add_range(hpa_t start, hpa_t end);

// One frame or one block, zeroed, for the owner; HPA_NONE when there is none. Takes LOCK_FRAME.
hpa_t frame_alloc(u16 owner, enum frame_type type, enum frame_order order);

// The free block of 2 MiB at `a` for the owner, whatever is in it; false: not all of it is free. Waits while it is being
// scrubbed. Boot only.
bool frame_claim(hpa_t a, u16 owner);
bool frame_is_free_block(hpa_t a); // for the moment

// Gives back what frame_alloc gave with the same order, or a frame out of a block that was taken
// whole.
void frame_free(hpa_t a, enum frame_order order);

// Free memory in 4 KiB frames; and in 4 KiB frames the part of it that is already scrubbed.
u64 frame_free_count(void);
u64 frame_clean_count(void);

// All frames of RAM known to the allocator.
u64 frame_total(void);

// Frames that the owner has now (any type). Walks nothing: counted.
u64 frame_owned(u16 owner);

enum frame_type frame_type_of(hpa_t a);
u16 frame_owner_of(hpa_t a);

// Zeroes a frame of free dirty memory, unless the allocator is busy; false when all free blocks are
// scrubbed. For idle CPUs, several may do so at once.
bool frame_scrub_slice(void);

// Zeroed kernel memory of `size` bytes (any size up to 2 MiB), page aligned and contiguous; NULL
// when there is none. Owner: FRAME_OWNER_KERNEL or a VM's id, for the account.
void *kmem_alloc(size_t size, u16 owner);
void kmem_free(void *p, size_t size);

// Takes a spin lock of rank LOCK_FRAME inside; the architecture supplies hpa_to_va, va_to_hpa and
// arch_zero.
