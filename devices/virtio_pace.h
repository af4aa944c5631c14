// SPDX-License-Identifier: MIT
// How many chains a driver may put into a queue before it has to notify the device.
//
// A store that lies in memory is done with a request as soon as it sees it, so a driver that is told to notify of each
// leaves the guest for each, and is interrupted for each; a back-end is woken for each frame. With the event index (virtio 1.2, 2.7.10) it can be asked to
// notify of every `goal`-th only. What the right goal is nobody says: it is as many as the driver puts before it waits.
// So larger goals are tried now and then. A goal was wrong when the guest went to sleep with chains of which it was not
// to tell: then it becomes what was put since the last time; or when some time had passed: then it becomes what was put
// in that time. One who has a single request in flight is back at a goal of 1 after each trial, and the next trials
// become rare.
#pragma once

#include "lib/types.h"

#define VIRTIO_PACE_PATIENCE_MAX 1024u

struct virtio_pace {
	u16 max;      // of goal
	u16 least;    // of patience
	u16 goal;     // chains, at least 1
	u16 hold;     // notifications until a larger goal is tried
	u16 patience; // what hold will be after the next goal that was too large
	s32 put;      // chains since the goal was raised, or the guest slept
};

// max: the largest goal; least: notifications between two trials, as long as they go well.
void virtio_pace_reset(struct virtio_pace *p, u16 max, u16 least);

// The driver has notified of `goal` chains.
void virtio_pace_reached(struct virtio_pace *p);

// A chain was taken.
static inline void virtio_pace_took(struct virtio_pace *p)
{
	p->put += p->put < 0x8000;
}

// With n chains in the queue (0: none) the guest sleeps, or has had enough time.
void virtio_pace_slept(struct virtio_pace *p, u16 n);
void virtio_pace_late(struct virtio_pace *p, u16 n);

// As virtio_pace_slept, where a guest that sleeps waits for nothing that the device is about: then what it put before is all
// that it puts at once, also if nothing of it is in the queue any more.
void virtio_pace_rested(struct virtio_pace *p, u16 n);
