// SPDX-License-Identifier: MIT
// A virtio device as its transport sees it, and a transport as its device sees it (virtio 1.2, sections 2 and 3.1).
//
// Life, by the driver's writes of the status:
//
//	RESET -> ACKNOWLEDGE, DRIVER -> FEATURES_OK (only for features that were offered, VERSION_1 among them)
//	      -> DRIVER_OK: the device runs;  any -> RESET by a write of 0
//	      any -> NEEDS_RESET when a queue is broken: nothing more is done until the driver resets
//
// A device is its ops, its queues and what it adds. It runs only while DRIVER_OK is set, nothing is broken, and the
// transport may reach memory (a PCI function that is no bus master may not).
#pragma once

#include "devices/virtqueue.h"

enum virtio_status {
	VIRTIO_ACKNOWLEDGE = 1,
	VIRTIO_DRIVER = 2,
	VIRTIO_DRIVER_OK = 4,
	VIRTIO_FEATURES_OK = 8,
	VIRTIO_NEEDS_RESET = 0x40,
	VIRTIO_FAILED = 0x80,
};

#define VIRTIO_F_INDIRECT_DESC BIT(28)
#define VIRTIO_F_EVENT_IDX     BIT(29)
#define VIRTIO_F_VERSION_1     BIT(32)

enum virtio_type {
	VIRTIO_TYPE_NET = 1,
	VIRTIO_TYPE_BLOCK = 2,
	VIRTIO_TYPE_CONSOLE = 3,
	VIRTIO_TYPE_RNG = 4,
	VIRTIO_TYPE_BALLOON = 5,
};

struct virtio_device;

struct virtio_device_ops {
	enum virtio_type type;
	u32 pci_class;   // class, subclass, interface
	u16 config_size; // bytes of the device's configuration
	// Chains are given back in another order than they were taken, or are held while others are: so a log is kept of
	// which are out (virtio_resume). Without it all that are taken in an entry are given back in it, in order.
	bool any_order;

	// The device runs from now on, or again; chains may be available already.
	void (*start)(struct virtio_device *d);
	// All is as after power-on; queues and features are already. A device that has something in flight ends with
	// virtio_reset_pending(d, true) and calls virtio_reset() again when it has not.
	void (*reset)(struct virtio_device *d);
	// The driver notified queue (below d->queues) of a running device.
	void (*notify)(struct virtio_device *d, unsigned queue);
	// Device configuration: offset + size <= config_size.
	void (*config_read)(struct virtio_device *d, u32 offset, void *to, u32 size);
	void (*config_write)(struct virtio_device *d, u32 offset, const void *from, u32 size);
};

struct virtio_transport {
	void (*queue_interrupt)(struct virtio_transport *t, unsigned queue);
	void (*config_interrupt)(struct virtio_transport *t);
};

struct virtio_device {
	const struct virtio_device_ops *ops; // constant, as the four below
	struct host *host;
	struct virtio_transport *transport;
	struct virtqueue *queue;
	u16 queues;
	u16 queue_size; // of each queue at most
	u64 offered;    // features
	u64 accepted;   // those that the driver asked for
	u8 status;
	u8 generation; // of the device's configuration
	bool dma;      // the transport may reach memory
	bool resetting;
};

// The caller has filled in ops, host, queue, queues, queue_size and, in offered, the device's own features.
void virtio_init(struct virtio_device *d);

// By the transport.
void virtio_reset(struct virtio_device *d);
void virtio_set_status(struct virtio_device *d, u8 value);
void virtio_set_dma(struct virtio_device *d, bool on);
void virtio_accept(struct virtio_device *d, u64 features);         // ignored after FEATURES_OK
void virtio_queue_enable(struct virtio_device *d, unsigned queue); // ignored before FEATURES_OK
void virtio_notify(struct virtio_device *d, unsigned queue);

static inline bool virtio_running(const struct virtio_device *d)
{
	return d->dma && (d->status & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET)) == VIRTIO_DRIVER_OK;
}

// By the device, at the end of ops->reset, if it is one whose resets may take time: is this one still underway?
static inline void virtio_reset_pending(struct virtio_device *d, bool underway)
{
	d->resetting = underway;
	d->status = underway ? VIRTIO_NEEDS_RESET : 0;
}

// By the device. After a batch of virtqueue_push: an interrupt if the driver wants one.
void virtio_interrupt(struct virtio_device *d, unsigned queue);
// At the end of each entry that used queues, other than start and notify: asks for a reset if one is broken.
void virtio_check(struct virtio_device *d);
// The device's configuration has changed by itself.
void virtio_config_changed(struct virtio_device *d);

// ---- state: plain data of fixed width

#define VIRTIO_STATE_VERSION 1u
struct virtio_state {
	u16 version;
	u16 type;
	u16 queues;
	u8 status;
	u8 generation;
	u64 accepted;
};

void virtio_save(
	const struct virtio_device *d, struct virtio_state *s, struct virtqueue_state *queue);
// Into a device just reset. false: not a state of such a device (it stays reset). Does not start it.
bool virtio_load(
	struct virtio_device *d, const struct virtio_state *s, const struct virtqueue_state *queue);

// For a device whose process may be killed at any moment: every start goes this way, the first too. As virtio_load, but of
// queue[i] the indices are ignored: they follow from guest memory and log[i] (one for each queue, in memory that outlives
// the process). `life` counts the driver's resets; a log of another life is emptied, and its queue begins at 0. The
// device starts by the next virtio_set_dma(d, true), and then sends each resumed queue's driver an interrupt, which it
// may be owed. Also false while a reset is underway.
bool virtio_resume(struct virtio_device *d, const struct virtio_state *s,
	const struct virtqueue_state *queue, struct virtqueue_log *log, u32 life);
