// SPDX-License-Identifier: MIT
// Memory that a device and the kernel share: rings, lists, identify data.
#pragma once

#include "drivers/iommu.h"
#include "kernel/core/frame.h"
#include "arch.h"

// Zeroed, contiguous, aligned to a page, at most 2 MiB, and the device of the domain reaches it; NULL: there is none.
// Without an IOMMU a device reaches all RAM, so any frame will do. Start only.
static inline void *dma_alloc(struct iommu_domain *d, size_t size)
{
	struct iommu_range r = {0};
	void *p = kmem_alloc(size, FRAME_OWNER_KERNEL);

	if (p && !iommu_map(d, va_to_hpa(p), size, &r)) {
		kmem_free(p, size);
		return NULL;
	}
	iommu_map_end(d, &r);
	return p;
}

static inline void dma_free(struct iommu_domain *d, void *p, size_t size)
{
	struct iommu_range r = {0};

	if (!p)
		return;
	iommu_unmap(d, va_to_hpa(p), size, &r);
	iommu_unmap_end(d, &r);
	kmem_free(p, size);
}

// What the device is to be told of it.
static inline u64 dma_address(const volatile void *p)
{
	return va_to_hpa((const void *)p).v;
}
