// SPDX-License-Identifier: MIT
// Memory that a device and the kernel share: rings, lists, identify data.
#pragma once

#include "kernel/core/frame.h"
#include "arch.h"

// Zeroed, contiguous, aligned to a page, at most 2 MiB; NULL: there is none. A device reaches all RAM, so
// any frame will do.
static inline void *dma_alloc(size_t size)
{
	return kmem_alloc(size, FRAME_OWNER_KERNEL);
}

static inline void dma_free(void *p, size_t size)
{
	if (p)
		kmem_free(p, size);
}

// What the device is to be told of it.
static inline u64 dma_address(const volatile void *p)
{
	return va_to_hpa((const void *)p).v;
}
