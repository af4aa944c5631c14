// SPDX-License-Identifier: MIT
// A small virtio driver.
#include "guest.h"
#include "virtio.h"

static volatile u8 *structure(pci_bdf at, u32 cap)
{
	u64 base, size;
	bool wide;

	if (!pci_bar(at, pci_read(at, cap + 4, 1), &base, &size, &wide))
		return NULL;
	return map_mmio(base + pci_read(at, cap + 8, 4), pci_read(at, cap + 12, 4));
}

bool virtio_open(struct virtio *v, pci_bdf at)
{
	*v = (struct virtio){.at = at};
	for (u32 cap = pci_capability(at, 9, 0); cap; cap = pci_capability(at, 9, cap)) {
		switch (pci_read(at, cap + 3, 1)) {
		case 1:
			v->common = (volatile struct virtio_common *)structure(at, cap);
			break;
		case 2:
			v->notify = structure(at, cap);
			v->notify_multiplier = pci_read(at, cap + 16, 4);
			break;
		case 3:
			v->isr = structure(at, cap);
			break;
		case 4:
			v->config = structure(at, cap);
			break;
		}
	}
	pci_write(at, 4, 2, 7);
	return v->common && v->notify && v->isr;
}

void virtio_reset(struct virtio *v)
{
	v->common->status = 0;
	(void)wait_until(v->common->status == 0, 1000);
}

bool virtio_negotiate(struct virtio *v, u32 features)
{
	virtio_reset(v);
	v->common->status = 1;
	v->common->status = 3;
	v->common->driver_feature_select = 0;
	v->common->driver_feature = features;
	v->common->driver_feature_select = 1;
	v->common->driver_feature = 1; // VERSION_1
	v->common->status = 0xB;
	return v->common->status & 8;
}

void virtio_queue_at(struct virtio *v, u16 index, u16 size, u64 desc, u64 avail, u64 used)
{
	volatile struct virtio_common *c = v->common;

	c->queue_select = index;
	c->queue_size = size;
	c->desc_low = (u32)desc;
	c->desc_high = (u32)(desc >> 32);
	c->driver_low = (u32)avail;
	c->driver_high = (u32)(avail >> 32);
	c->device_low = (u32)used;
	c->device_high = (u32)(used >> 32);
	c->queue_enable = 1;
}

bool virtq_make(struct virtio *v, struct virtq *q, u16 index, u16 size)
{
	u8 *memory = memory_pages(3);
	u16 most;

	v->common->queue_select = index;
	most = v->common->queue_size;
	if (!most)
		return false;
	*q = (struct virtq){.size = MIN(size, most),
		.index = index,
		.desc = (void *)memory,
		.avail = (void *)(memory + PAGE_SIZE),
		.used = (void *)(memory + 2 * PAGE_SIZE)};
	q->doorbell = v->notify + v->notify_multiplier * v->common->queue_notify_off;
	virtio_queue_at(v, index, q->size, (u64)q->desc, (u64)q->avail, (u64)q->used);
	return true;
}

void virtq_ring(struct virtq *q)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*(volatile u16 *)q->doorbell = q->index;
}

void virtq_offer(struct virtq *q, u16 head)
{
	q->avail->ring[q->avail->idx % q->size] = head;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	q->avail->idx++;
	virtq_ring(q);
}
