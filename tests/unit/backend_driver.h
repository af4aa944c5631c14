// SPDX-License-Identifier: MIT
// A virtio device as a process serves it that may be killed: a transport of its own, and an account of what the driver
// has set and a log, which both outlive the process.
#pragma once

#include "devices/virtio.h"
#include "tests/unit/virtio_driver.h"

#define BACKEND_QUEUES 8u

struct backend {
	struct virtio_transport transport;
	u32 interrupts[BACKEND_QUEUES];
	u32 config_interrupts;
};

struct backend_account {
	struct virtio_state virtio;
	struct virtqueue_state queue[BACKEND_QUEUES];
	struct virtqueue_log log[BACKEND_QUEUES];
	u32 life;
};

static void backend_queue_interrupt(struct virtio_transport *t, unsigned queue)
{
	container_of(t, struct backend, transport)->interrupts[queue]++;
}

static void backend_config_interrupt(struct virtio_transport *t)
{
	container_of(t, struct backend, transport)->config_interrupts++;
}

// Becomes the transport of a device just made.
static inline void backend_init(struct backend *b, struct virtio_device *d)
{
	*b = (struct backend){.transport = {backend_queue_interrupt, backend_config_interrupt}};
	d->transport = &b->transport;
}

// A driver that has set up such a device, but for its queues, and lets it run.
static inline void account_init(
	struct backend_account *a, const struct virtio_device *d, u64 accepted)
{
	*a = (struct backend_account){
		.virtio = {.version = VIRTIO_STATE_VERSION,
			.type = (u16)d->ops->type,
			.queues = d->queues,
			.status = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK |
				  VIRTIO_DRIVER_OK,
			.accepted = (accepted & d->offered) | VIRTIO_F_VERSION_1},
		.life = 1,
	};
	if (d->queues > BACKEND_QUEUES)
		abort();
	for (unsigned i = 0; i < d->queues; i++)
		a->queue[i].size = d->queue_size;
}

// A queue of up to 16 entries, whose rings lie in the KiB from gpa on.
static inline struct ring account_queue(
	struct backend_account *a, struct host *h, unsigned queue, u16 size, u64 gpa)
{
	struct ring r = {
		.host = h, .desc = gpa, .driver = gpa + 0x100, .device = gpa + 0x200, .size = size};

	a->queue[queue] = (struct virtqueue_state){
		.desc = r.desc, .driver = r.driver, .device = r.device, .size = size, .enabled = 1};
	return r;
}

static inline bool backend_resume(struct virtio_device *d, struct backend_account *a)
{
	return virtio_resume(d, &a->virtio, a->queue, a->log, a->life);
}

// Would a driver notify of the chain that it has just published?
static inline bool ring_kicks(struct ring *r, bool event_idx)
{
	return event_idx ? avail_event_of(r) == (u16)(r->avail_idx - 1) : !used_flags_of(r);
}
