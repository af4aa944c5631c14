// SPDX-License-Identifier: MIT
// What all virtio devices share: status, features, queues, asking for a reset.
#include "devices/virtio.h"

#define TRANSPORT_FEATURES (VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1)

static void queues_reset(struct virtio_device *d)
{
	for (unsigned i = 0; i < d->queues; i++)
		virtqueue_reset(&d->queue[i], d->host, d->queue_size);
}

void virtio_init(struct virtio_device *d)
{
	d->offered |= TRANSPORT_FEATURES;
	d->accepted = 0;
	d->status = 0;
	d->generation = 0;
	d->dma = false;
	queues_reset(d);
}

void virtio_reset(struct virtio_device *d)
{
	d->accepted = 0;
	d->status = 0;
	for (unsigned i = 0; i < d->queues; i++)
		if (d->queue[i].log)
			virtqueue_log_clear(d->queue[i].log);
	queues_reset(d);
	d->ops->reset(d);
}

void virtio_check(struct virtio_device *d)
{
	if (d->status & VIRTIO_NEEDS_RESET)
		return;
	for (unsigned i = 0; i < d->queues; i++) {
		if (!d->queue[i].broken)
			continue;
		host_log(d->host, "virtio device %u, queue %u: %s; it needs a reset",
			(unsigned)d->ops->type, i, d->queue[i].broken);
		d->status |= VIRTIO_NEEDS_RESET;
		if (d->status & VIRTIO_DRIVER_OK)
			d->transport->config_interrupt(d->transport);
		return;
	}
}

// What the one who served a resumed queue gave back last may not have been told.
static void pay_interrupts(struct virtio_device *d)
{
	for (unsigned i = 0; i < d->queues; i++) {
		if (!d->queue[i].owed)
			continue;
		d->queue[i].owed = false;
		d->transport->queue_interrupt(d->transport, i);
	}
}

static void start(struct virtio_device *d)
{
	d->ops->start(d);
	pay_interrupts(d);
	virtio_check(d);
}

// Bits are only added (3.1.1); those that the driver may not have are left out.
void virtio_set_status(struct virtio_device *d, u8 value)
{
	u8 added = (u8)(value & ~d->status & ~VIRTIO_NEEDS_RESET);
	bool acceptable = !(d->accepted & ~d->offered) && d->accepted & VIRTIO_F_VERSION_1;

	if (!value) {
		virtio_reset(d);
		return;
	}
	if (d->resetting)
		return;
	if (added & VIRTIO_FEATURES_OK && !acceptable)
		added &= (u8)~VIRTIO_FEATURES_OK;
	if (added & VIRTIO_DRIVER_OK && !((d->status | added) & VIRTIO_FEATURES_OK))
		added &= (u8)~VIRTIO_DRIVER_OK;
	d->status |= added;
	if (added & VIRTIO_DRIVER_OK && virtio_running(d))
		start(d);
}

void virtio_set_dma(struct virtio_device *d, bool on)
{
	bool before = d->dma;

	d->dma = on;
	if (on && !before && virtio_running(d))
		start(d);
}

void virtio_accept(struct virtio_device *d, u64 features)
{
	if (!(d->status & VIRTIO_FEATURES_OK))
		d->accepted = features;
}

static void queue_enable(struct virtio_device *d, struct virtqueue *q)
{
	q->indirect = d->accepted & VIRTIO_F_INDIRECT_DESC;
	q->event_idx = d->accepted & VIRTIO_F_EVENT_IDX;
	virtqueue_enable(q);
}

void virtio_queue_enable(struct virtio_device *d, unsigned queue)
{
	if (!(d->status & VIRTIO_FEATURES_OK) || queue >= d->queues || d->queue[queue].s.enabled)
		return;
	queue_enable(d, &d->queue[queue]);
	virtio_check(d);
}

void virtio_notify(struct virtio_device *d, unsigned queue)
{
	if (queue >= d->queues || !virtio_running(d))
		return;
	d->ops->notify(d, queue);
	virtio_check(d);
}

void virtio_interrupt(struct virtio_device *d, unsigned queue)
{
	if (virtqueue_wants_interrupt(&d->queue[queue]))
		d->transport->queue_interrupt(d->transport, queue);
}

void virtio_config_changed(struct virtio_device *d)
{
	d->generation++;
	if (d->status & VIRTIO_DRIVER_OK)
		d->transport->config_interrupt(d->transport);
}

// ---------------------------------------------------------------- save and restore

void virtio_save(
	const struct virtio_device *d, struct virtio_state *s, struct virtqueue_state *queue)
{
	*s = (struct virtio_state){
		.version = VIRTIO_STATE_VERSION,
		.type = (u16)d->ops->type,
		.queues = d->queues,
		.status = d->status,
		.generation = d->generation,
		.accepted = d->accepted,
	};
	for (unsigned i = 0; i < d->queues; i++)
		queue[i] = d->queue[i].s;
}

static bool queue_state_valid(const struct virtio_device *d, const struct virtqueue_state *s)
{
	return s->enabled <= 1 && s->size && s->size <= d->queue_size &&
	       !(s->size & (s->size - 1)) && !s->reserved[0] && !s->reserved[1] && !s->reserved[2];
}

// Takes it over, but for the queues. false: it is not valid.
static bool state_load(
	struct virtio_device *d, const struct virtio_state *s, const struct virtqueue_state *queue)
{
	bool ok = s->version == VIRTIO_STATE_VERSION && s->type == (u16)d->ops->type &&
		  s->queues == d->queues;

	if (ok && s->status & VIRTIO_FEATURES_OK)
		ok = !(s->accepted & ~d->offered) && s->accepted & VIRTIO_F_VERSION_1;
	if (ok && s->status & VIRTIO_DRIVER_OK)
		ok = s->status & VIRTIO_FEATURES_OK;
	for (unsigned i = 0; ok && i < d->queues; i++)
		ok = queue_state_valid(d, &queue[i]);
	if (!ok)
		return false;
	d->status = s->status;
	d->generation = s->generation;
	d->accepted = s->accepted;
	return true;
}

bool virtio_load(
	struct virtio_device *d, const struct virtio_state *s, const struct virtqueue_state *queue)
{
	if (!state_load(d, s, queue))
		return false;
	for (unsigned i = 0; i < d->queues; i++) {
		d->queue[i].s = queue[i];
		if (queue[i].enabled)
			queue_enable(d, &d->queue[i]);
	}
	virtio_check(d);
	return true;
}

static void queue_resume(struct virtio_device *d, struct virtqueue *q,
	const struct virtqueue_state *s, struct virtqueue_log *log, u32 life)
{
	bool ran = virtqueue_log_begin(log, life);

	q->s = *s;
	q->s.next_avail = q->s.next_used = q->s.signalled = 0;
	if (!s->enabled)
		return;
	queue_enable(d, q);
	if (d->ops->any_order)
		q->log = log;
	if (ran)
		virtqueue_resume(q);
}

bool virtio_resume(struct virtio_device *d, const struct virtio_state *s,
	const struct virtqueue_state *queue, struct virtqueue_log *log, u32 life)
{
	if (d->resetting || !state_load(d, s, queue))
		return false;
	d->dma = false;
	for (unsigned i = 0; i < d->queues; i++)
		queue_resume(d, &d->queue[i], &queue[i], &log[i], life);
	virtio_check(d);
	return true;
}
