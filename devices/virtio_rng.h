// SPDX-License-Identifier: MIT
// virtio-rng: fills the driver's buffers with random bytes of the host (virtio 1.2, section 5.4).
#pragma once

#include "devices/virtio.h"

#define VIRTIO_RNG_QUEUE 64u    // entries
#define VIRTIO_RNG_SHARE 16384u // bytes filled in one call at most; the rest a little later

struct virtio_rng {
	struct virtio_device dev;
	struct virtqueue queue;
	struct host_segment seg[VIRTIO_RNG_QUEUE]; // of the chain in hand
	struct host_timer later;
};

void virtio_rng_init(struct virtio_rng *r, struct host *h);
void virtio_rng_destroy(struct virtio_rng *r); // host_timer_destroy's rule holds

// State for save and restore. There is none beside the queue: a chain is filled within a call, or not begun.
struct virtio_rng_state {
	struct virtio_state virtio;
	struct virtqueue_state queue;
};

void virtio_rng_save(const struct virtio_rng *r, struct virtio_rng_state *s);
bool virtio_rng_load(struct virtio_rng *r, const struct virtio_rng_state *s); // as virtio_load
