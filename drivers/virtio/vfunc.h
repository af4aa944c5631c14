// SPDX-License-Identifier: MIT
// The driver's side of virtio devices on PCI (virtio 1.2, 4.1) and of their split queues (2.7). What the device says
// is checked: places in BARs, sizes, and what it gives back.
#pragma once

#include "drivers/pci.h"

#define VIRTIO_QUEUE_MAX 64u // entries that are used of a queue

#define VIRTIO_F_INDIRECT BIT(28)
#define VIRTIO_F_VERSION  BIT(32)
#define VIRTIO_F_PLATFORM BIT(33)

struct vfunc {
	struct pci_function *pci;
	volatile u8 *common, *device, *notify;
	u32 device_size, notify_size, notify_multiplier;
	u64 features; // that both have
};

struct vring_descriptor {
	u64 address;
	u32 len;
	u16 flags, next;
};

#define VIRTIO_NEXT     1u
#define VIRTIO_WRITE    2u // the device writes there
#define VIRTIO_INDIRECT 4u

// One split queue in which each entry is used with an indirect table, so an entry is a slot.
struct vring {
	u32 entries; // a power of two
	struct vring_descriptor *descriptors;
	volatile u16 *available; // flags, index, entries
	volatile u8 *used;       // flags, index, {id, len} each
	u16 given, taken;
	volatile u8 *doorbell;
	u16 number;
};

// Finds the function's registers; false: it is no virtio function of version 1 that can be used.
bool vfunc_find(struct vfunc *v, struct pci_function *f);

// Begins a reset; vfunc_is_reset tells when it is over.
void vfunc_reset(struct vfunc *v);
bool vfunc_is_reset(const struct vfunc *v);

// After the reset: takes of `wanted` what the device offers, VERSION_1 and INDIRECT in any case; false: it refuses.
bool vfunc_negotiate(struct vfunc *v, u64 wanted);

// How many queues it has, and how many entries queue n would have, at most VIRTIO_QUEUE_MAX; 0: there is none.
u32 vfunc_queue_count(const struct vfunc *v);
u32 vfunc_queue_size(const struct vfunc *v, u32 n);

// Room for a ring that the domain's function reaches; 0 or -ENOMEM. Then, after each reset: makes it the device's queue, with MSI-X message n.
int vring_init(struct vring *r, struct iommu_domain *d, u32 n, u32 entries);
bool vring_enable(struct vfunc *v, struct vring *r);

// As it was when it was new; the device is reset.
void vring_clear(struct vring *r);

// After the reset: changes of the configuration raise MSI-X message n. False: they do not.
bool vfunc_config_message(struct vfunc *v, u32 n);

// All queues are there: the device may begin.
void vfunc_start(struct vfunc *v);

// Gives the entry `slot` with its table of n descriptors (memory of dma.h); vring_kick tells the device.
void vring_put(struct vring *r, u32 slot, const struct vring_descriptor *table, u32 n);
void vring_kick(const struct vring *r);

// The next entry that came back, *slot below entries or ~0 when the device names none; false: none came.
bool vring_take(struct vring *r, u32 *slot);

// The same, with the number of bytes that the device says it has written.
bool vring_take_length(struct vring *r, u32 *slot, u32 *len);

// Has one come back that was not taken?
bool vring_more(const struct vring *r);

// Asks the device for no interrupts, or for interrupts of what comes back from now on: vring_more tells of the rest.
void vring_quiet(struct vring *r, bool quiet);
