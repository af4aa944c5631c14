// SPDX-License-Identifier: MIT
// From a chain to a request of the store: header, data and status, however the driver cut them (virtio 1.2, 5.2.6).
#pragma once

#include "devices/virtio_blk.h"

enum virtio_blk_verdict {
	VIRTIO_BLK_SUBMIT, // s->request is ready, but for done()
	VIRTIO_BLK_ANSWER, // *answer is the status; nothing is left to do
	VIRTIO_BLK_BROKEN, // the queue is
};

// c was peeked into s->seg. Fills in s->status, data, filled, and s->request as far as the verdict needs it; GET_ID is
// done here. The segments in s->seg are cut to what holds data.
enum virtio_blk_verdict virtio_blk_parse(struct virtio_blk *b, struct virtio_blk_slot *s,
	struct virtqueue *q, const struct virtqueue_chain *c, u8 *answer);
