// SPDX-License-Identifier: MIT
// A virtual device whose transport is the kernel's: follows what its driver has done there, and hands interrupts back.
//
// The kernel keeps status, features and the addresses of queues (struct mezz_device_state), and rings when they have changed:
//
//	driver resets -> the device forgets; what is in flight ends; what was written is flushed -> MEZZ_DEVICE_RESET_DONE
//	driver is ready -> the device runs, with the log that was kept of this life of it, if any
//	a ring is broken -> MEZZ_DEVICE_BROKEN; nothing more until the reset
//
// Interrupts of one turn of the loop go together.
#pragma once

#include "backend/link.h"
#include "backend/state.h"
#include "devices/host_linux/host_linux_block.h"
#include "devices/host_linux/host_linux_net.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_rng.h"

struct device {
	struct link *link;
	unsigned slot;
	struct virtio_device *virtio;
	struct virtio_transport transport;
	struct virtqueue_log *log;      // of its queues, in the state
	struct virtio_net_kept *kept;   // of a card
	struct mezz_device_state state; // as it was when it was last asked for
	u32 resets;                     // of the driver, that were followed
	u64 interrupts;                 // of queues, to be sent
	bool configured; // its configuration has changed, of which the driver is to be told
	bool reset_owed; // MEZZ_DEVICE_RESET_DONE is
	bool broken;     // the kernel has been told
	// A disk:
	struct host_block *store; // NULL: it is none
	struct virtio_blk *disk;
	// A card:
	struct host_net *net; // NULL: it is none
	struct virtio_net *card;
	// A source of random bytes:
	struct virtio_rng *rng; // NULL: it is none
};

// Makes the device and its state's part; the store, or the port, becomes its. NULL: out of memory.
struct device *device_disk(struct link *l, struct host *h, unsigned slot, struct host_block *store,
	unsigned queues, struct virtqueue_log *log);
struct device *device_card(struct link *l, struct host *h, unsigned slot, struct host_net *net,
	const struct net_card_config *c, unsigned pairs, struct virtqueue_log *log,
	struct virtio_net_kept *kept);
struct device *device_rng(struct link *l, struct host *h, unsigned slot, struct virtqueue_log *log);
void device_destroy(struct device *d); // nothing is in flight

// What the kernel has to know of it.
void device_describe(const struct device *d, struct mezz_device *m);

// Those below return 0, or -errno of the kernel, -ENOENT when the VM is no more.

// Looks at the device anew, as after an attach. The one before has reset nothing that this one does not know.
int device_begin(struct device *d);

// Its bells, as they were taken.
int device_bells(struct device *d, u64 bells);

// At the end of each turn of the loop.
int device_turn_end(struct device *d);
