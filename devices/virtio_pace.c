// SPDX-License-Identifier: MIT
// The goal grows by doubling until it was wrong, and is then at once what was seen.
#include "devices/virtio_pace.h"

void virtio_pace_reset(struct virtio_pace *p, u16 max, u16 least)
{
	*p = (struct virtio_pace){
		.max = max, .least = least, .goal = 1, .hold = least, .patience = least};
}

void virtio_pace_reached(struct virtio_pace *p)
{
	if (p->hold) {
		p->hold--;
		return;
	}
	if (p->goal > 1)
		p->patience = p->least; // a trial that went well
	p->goal = (u16)MIN(p->goal * 2u, p->max);
	p->put =
		0; // what is there now may be the begin of what it puts until it sleeps, and counts
}

static void goal_set(struct virtio_pace *p, u32 seen)
{
	u16 goal = (u16)MIN(seen, p->max);

	if (goal < p->goal) {
		p->hold = p->patience;
		p->patience = (u16)MIN(p->patience * 2u, VIRTIO_PACE_PATIENCE_MAX);
	}
	p->goal = goal;
}

void virtio_pace_slept(struct virtio_pace *p, u16 n)
{
	if (n)
		goal_set(p, (u32)(MAX(p->put, 0) + n));
	p->put = -n; // those are taken next
}

void virtio_pace_late(struct virtio_pace *p, u16 n)
{
	if (n && n < p->goal)
		goal_set(p, n);
}

void virtio_pace_rested(struct virtio_pace *p, u16 n)
{
	u32 seen = (u32)(MAX(p->put, 0) + n);

	if (seen)
		goal_set(p, seen);
	p->put = -n;
}
