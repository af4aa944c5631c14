// SPDX-License-Identifier: MIT
// A virtio device on PCI as a driver sees it, with just enough to drive it or to mistreat it.
// Source: virtio 1.2, sections 2.7 and 4.1.
#pragma once

#include "lib/types.h"
#include "pci.h"

struct virtio_common {
	u32 device_feature_select, device_feature, driver_feature_select, driver_feature;
	u16 config_msix, num_queues;
	u8 status, generation;
	u16 queue_select, queue_size, queue_msix, queue_enable, queue_notify_off;
	u32 desc_low, desc_high, driver_low, driver_high, device_low, device_high;
};
_Static_assert(sizeof(struct virtio_common) == 56, "fixed by the specification");

#define VIRTIO_RUNNING     0x0F // ACKNOWLEDGE DRIVER FEATURES_OK DRIVER_OK
#define VIRTIO_NEEDS_RESET 0x40

struct virtq_desc {
	u64 addr;
	u32 len;
	u16 flags, next;
};

#define VIRTQ_NEXT     1
#define VIRTQ_WRITE    2
#define VIRTQ_INDIRECT 4

struct virtq_avail {
	u16 flags, idx, ring[];
};

struct virtq_used {
	u16 flags, idx;
	struct {
		u32 id, len;
	} ring[];
};

struct virtio {
	pci_bdf at;
	volatile struct virtio_common *common;
	volatile u8 *notify, *isr, *config;
	u32 notify_multiplier;
};

struct virtq {
	u16 size, index;
	volatile struct virtq_desc *desc;
	volatile struct virtq_avail *avail;
	volatile struct virtq_used *used;
	volatile u8 *doorbell;
};

// Finds the structures of the function and lets it decode memory and reach RAM; false: it is no virtio device.
bool virtio_open(struct virtio *v, pci_bdf at);

// Reset, then up to FEATURES_OK with VERSION_1 and the given further low features.
void virtio_reset(struct virtio *v);
bool virtio_negotiate(struct virtio *v, u32 features);
static inline void virtio_run(struct virtio *v)
{
	v->common->status = VIRTIO_RUNNING;
}

// Tells the device where queue `index` is, without any check, and enables it.
void virtio_queue_at(struct virtio *v, u16 index, u16 size, u64 desc, u64 avail, u64 used);

// Sets up a queue as it should be, of at most `size` entries, in RAM of its own; false: there is no such queue.
bool virtq_make(struct virtio *v, struct virtq *q, u16 index, u16 size);

// Makes the chain that begins at `head` available, and rings.
void virtq_offer(struct virtq *q, u16 head);
void virtq_ring(struct virtq *q);
