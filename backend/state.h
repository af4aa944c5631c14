// SPDX-License-Identifier: MIT
// What a back-end leaves to the next one of the same VM, behind the page of bells: plain data, written as it goes along, so that
// it is true whenever the process is killed. All zero at first. The one before may have been taken over by its guest: who reads
// it believes nothing (virtio_resume checks).
#pragma once

#include "abi/dev_mezz.h"
#include "devices/virtio_net.h"

#define STATE_VERSION 1u
#define STATE_DISKS   8u
#define STATE_CARDS   8u
#define STATE_QUEUES  (2 * VIRTIO_NET_PAIRS + 1) // of a device at most

struct state {
	u32 version; // 0: nobody was there yet
	u32 reserved[15];
	struct virtqueue_log log[STATE_DISKS + STATE_CARDS][STATE_QUEUES];
	struct virtio_net_kept kept[STATE_CARDS];
	struct virtqueue_log rng;
};

_Static_assert(sizeof(struct state) <= MEZZ_STATE_SIZE - PAGE_SIZE, "it has room");
_Static_assert(offsetof(struct state, log) == 64, "a log lies in one line of the cache");
