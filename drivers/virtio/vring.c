// SPDX-License-Identifier: MIT
// A split queue (virtio 1.2, 2.7). On x86 stores become visible in their order and so do loads; the full barrier is
// for a store that a load must not overtake.
#include "drivers/dma.h"
#include "drivers/virtio/vfunc.h"
#include "lib/atomic.h"
#include "lib/errno.h"
#include "lib/string.h"

#define USED_ENTRY 8u
#define BARRIER()  __asm__ volatile("" ::: "memory")

int vring_init(struct vring *r, struct iommu_domain *d, u32 n, u32 entries)
{
	u8 *page = dma_alloc(d, 3 * PAGE_SIZE);

	if (!page)
		return -ENOMEM;
	*r = (struct vring){.entries = entries, .number = (u16)n};
	r->descriptors = (void *)page;
	r->available = (void *)(page + PAGE_SIZE);
	r->used = page + 2 * PAGE_SIZE;
	return 0;
}

_Static_assert(
	VIRTIO_QUEUE_MAX * sizeof(struct vring_descriptor) <= PAGE_SIZE, "a page holds them");

void vring_put(struct vring *r, u32 slot, const struct vring_descriptor *table, u32 n)
{
	r->descriptors[slot] = (struct vring_descriptor){.address = dma_address(table),
		.len = (u32)(n * sizeof(*table)),
		.flags = VIRTIO_INDIRECT};
	r->available[2 + r->given % r->entries] = (u16)slot;
	r->given++;
	BARRIER();
	r->available[1] = r->given;
}

void vring_kick(const struct vring *r)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*(volatile u16 *)r->doorbell = r->number;
}

void vring_clear(struct vring *r)
{
	r->given = r->taken = 0;
	memset((void *)r->available, 0, PAGE_SIZE);
	memset((void *)r->used, 0, PAGE_SIZE);
}

#define NO_INTERRUPT 1u // 2.7.6, flags

void vring_quiet(struct vring *r, bool quiet)
{
	r->available[0] = quiet ? NO_INTERRUPT : 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

bool vring_more(const struct vring *r)
{
	return *(volatile u16 *)(r->used + 2) != r->taken;
}

bool vring_take(struct vring *r, u32 *slot)
{
	u32 len;

	return vring_take_length(r, slot, &len);
}

bool vring_take_length(struct vring *r, u32 *slot, u32 *len)
{
	volatile u32 *entry;
	u16 index = *(volatile u16 *)(r->used + 2);

	if (index == r->taken)
		return false;
	BARRIER();
	entry = (volatile u32 *)(r->used + 4 + r->taken % r->entries * USED_ENTRY);
	*slot = entry[0];
	*len = entry[1];
	if (*slot >= r->entries)
		*slot = ~0u;
	r->taken++;
	return true;
}
