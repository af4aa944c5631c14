// SPDX-License-Identifier: MIT
// The goal grows by doubling until it was wrong, and is then at once what was seen.
#include "devices/virtio_blk_pace.h"

void virtio_blk_pace_reset(struct virtio_blk_pace *p)
{
	*p = (struct virtio_blk_pace){
		.goal = 1, .hold = VIRTIO_BLK_PATIENCE_MIN, .patience = VIRTIO_BLK_PATIENCE_MIN};
}

void virtio_blk_pace_reached(struct virtio_blk_pace *p)
{
	if (p->hold) {
		p->hold--;
		return;
	}
	if (p->goal > 1)
		p->patience = VIRTIO_BLK_PATIENCE_MIN; // a trial that went well
	p->goal = (u16)MIN(p->goal * 2u, VIRTIO_BLK_GOAL_MAX);
	p->put =
		0; // what is there now may be the begin of what it puts until it sleeps, and counts
}

static void goal_set(struct virtio_blk_pace *p, u32 seen)
{
	u16 goal = (u16)MIN(seen, VIRTIO_BLK_GOAL_MAX);

	if (goal < p->goal) {
		p->hold = p->patience;
		p->patience = (u16)MIN(p->patience * 2u, VIRTIO_BLK_PATIENCE_MAX);
	}
	p->goal = goal;
}

void virtio_blk_pace_slept(struct virtio_blk_pace *p, u16 n)
{
	if (n)
		goal_set(p, (u32)(MAX(p->put, 0) + n));
	p->put = -n; // those are taken next
}

void virtio_blk_pace_late(struct virtio_blk_pace *p, u16 n)
{
	if (n && n < p->goal)
		goal_set(p, n);
}
