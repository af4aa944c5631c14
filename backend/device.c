// SPDX-License-Identifier: MIT
#include "backend/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RING_FEATURES (VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1)

// ---------------------------------------------------------------- the transport

static struct device *device_of(struct virtio_transport *t)
{
	return container_of(t, struct device, transport);
}

static void queue_interrupt(struct virtio_transport *t, unsigned queue)
{
	device_of(t)->interrupts |= BIT(queue);
}

static void config_interrupt(struct virtio_transport *t)
{
	device_of(t)->configured = true;
}

// ---------------------------------------------------------------- following the driver

// Lives are counted from 1: a log of zeros belongs to none.
static u32 life_of(const struct device *d)
{
	return d->state.resets + 1;
}

static bool resume(struct device *d)
{
	const struct mezz_device_state *s = &d->state;
	struct virtio_state v = {
		.version = VIRTIO_STATE_VERSION,
		.type = (u16)d->virtio->ops->type,
		.queues = (u16)s->queues,
		.status = s->status,
		.accepted = s->accepted,
	};
	struct virtqueue_state q[MEZZ_QUEUES] = {0};

	for (unsigned i = 0; i < MIN(s->queues, MEZZ_QUEUES); i++) {
		q[i].size = d->virtio->queue_size;
		if (!s->queue[i].enabled)
			continue;
		q[i].desc = s->queue[i].desc;
		q[i].driver = s->queue[i].driver;
		q[i].device = s->queue[i].device;
		q[i].size = s->queue[i].size;
		q[i].enabled = s->queue[i].enabled;
	}
	return d->card ? virtio_net_resume(d->card, &v, q, d->log, d->kept, life_of(d))
		       : virtio_resume(d->virtio, &v, q, d->log, life_of(d));
}

// The kernel tells its driver.
static int report_broken(struct device *d)
{
	d->broken = true;
	return link_do(d->link, d->slot, MEZZ_DEVICE_BROKEN);
}

// The driver is ready: the device goes on in this life, or begins it.
static int start(struct device *d)
{
	if (!(d->virtio->status & VIRTIO_DRIVER_OK) && !resume(d)) {
		host_log(d->virtio->host, "device %u: its driver asks for what it does not offer",
			d->slot);
		return report_broken(d);
	}
	virtio_set_dma(d->virtio, true);
	return 0;
}

static void reset(struct device *d)
{
	d->resets = d->state.resets;
	d->reset_owed = d->state.resetting;
	d->broken = false;
	virtio_reset(d->virtio);
	virtio_set_dma(d->virtio, false);
	d->interrupts = 0;
}

static int follow(struct device *d)
{
	int err = link_state(d->link, d->slot, &d->state);

	if (err < 0)
		return err;
	if (d->state.version != MEZZ_STATE_VERSION)
		return -EINVAL;
	if (d->state.resets != d->resets || (d->state.resetting && !d->reset_owed))
		reset(d);
	else if (!d->state.running)
		virtio_set_dma(d->virtio, false);
	return 0;
}

// A reset ends when nothing is in flight, and what was written is safe (docs/disks.md).
static int reset_finish(struct device *d)
{
	int err;

	if (!d->reset_owed || (d->store && !host_block_settle(d->store)))
		return 0;
	d->reset_owed = false;
	err = link_do(d->link, d->slot, MEZZ_DEVICE_RESET_DONE);
	return err == -EINVAL ? 0 : err; // it was ended for us
}

// ---------------------------------------------------------------- the loop's calls

int device_begin(struct device *d)
{
	int err = link_state(d->link, d->slot, &d->state);

	if (err < 0)
		return err;
	d->resets = d->state.resets;
	return device_bells(d, MEZZ_BELL_STATE);
}

int device_bells(struct device *d, u64 bells)
{
	int err = bells & MEZZ_BELL_STATE ? follow(d) : 0;

	for (unsigned i = 0; i < d->virtio->queues && !err; i++)
		if (bells >> i & 1)
			virtio_notify(d->virtio, i);
	if (bells & MEZZ_BELL_REST && !err && d->card)
		virtio_net_rest(d->card);
	return err;
}

static int configuration_send(struct device *d)
{
	u8 config[MEZZ_CONFIG_SIZE];

	d->configured = false;
	d->virtio->ops->config_read(d->virtio, 0, config, d->virtio->ops->config_size);
	return link_config(d->link, d->slot, config, d->virtio->ops->config_size);
}

static int interrupts_send(struct device *d)
{
	u64 set = d->interrupts;

	d->interrupts = 0;
	return link_interrupt(d->link, d->slot, set);
}

static bool may_start(const struct device *d)
{
	return d->state.running && !d->reset_owed && !d->broken && !virtio_running(d->virtio);
}

int device_turn_end(struct device *d)
{
	int err = 0;

	if (d->virtio->resetting)
		return 0;
	err = reset_finish(d);
	if (!err && may_start(d))
		err = start(d);
	if (!err && d->virtio->status & VIRTIO_NEEDS_RESET && !d->broken)
		err = report_broken(d);
	if (!err && d->configured)
		err = configuration_send(d);
	if (!err && d->interrupts)
		err = interrupts_send(d);
	return MIN(err, 0);
}

// ---------------------------------------------------------------- life

// With memory for what models the device, zeroed.
static struct device *device_create(
	struct link *l, unsigned slot, struct virtqueue_log *log, void **model, size_t size)
{
	struct device *d = calloc(1, sizeof(*d));

	*model = calloc(1, size);
	if (!d || !*model) {
		free(*model);
		free(d);
		return NULL;
	}
	d->link = l;
	d->slot = slot;
	d->log = log;
	d->transport = (struct virtio_transport){queue_interrupt, config_interrupt};
	return d;
}

static struct device *device_join(struct device *d, struct virtio_device *virtio)
{
	d->virtio = virtio;
	virtio->transport = &d->transport;
	return d;
}

struct device *device_disk(struct link *l, struct host *h, unsigned slot, struct host_block *store,
	unsigned queues, struct virtqueue_log *log)
{
	void *model;
	struct device *d = device_create(l, slot, log, &model, sizeof(*d->disk));

	if (!d)
		return NULL;
	d->disk = model;
	d->store = store;
	virtio_blk_init(d->disk, h, store, queues);
	return device_join(d, &d->disk->dev);
}

struct device *device_card(struct link *l, struct host *h, unsigned slot, struct host_net *net,
	const struct net_card_config *c, unsigned pairs, struct virtqueue_log *log,
	struct virtio_net_kept *kept)
{
	void *model;
	struct device *d = device_create(l, slot, log, &model, sizeof(*d->card));

	if (!d)
		return NULL;
	d->card = model;
	d->net = net;
	d->kept = kept;
	virtio_net_init(d->card, h, net, c->addr, pairs);
	host_net_set_card(net, d->card);
	return device_join(d, &d->card->dev);
}

struct device *device_rng(struct link *l, struct host *h, unsigned slot, struct virtqueue_log *log)
{
	void *model;
	struct device *d = device_create(l, slot, log, &model, sizeof(*d->rng));

	if (!d)
		return NULL;
	d->rng = model;
	virtio_rng_init(d->rng, h);
	return device_join(d, &d->rng->dev);
}

void device_destroy(struct device *d)
{
	if (d->store) {
		virtio_blk_destroy(d->disk);
		host_block_destroy(d->store);
	} else if (d->net) {
		virtio_net_destroy(d->card);
		host_net_destroy(d->net);
	} else {
		virtio_rng_destroy(d->rng);
	}
	free(d->disk);
	free(d->card);
	free(d->rng);
	free(d);
}

void device_describe(const struct device *d, struct mezz_device *m)
{
	const struct virtio_device *v = d->virtio;

	*m = (struct mezz_device){
		.slot = (u16)d->slot,
		.type = (u16)v->ops->type,
		.queues = v->queues,
		.queue_size = v->queue_size,
		.features = v->offered & ~RING_FEATURES,
		.pci_class = v->ops->pci_class,
		.config_size = v->ops->config_size,
	};
	if (v->ops->config_size)
		v->ops->config_read(d->virtio, 0, m->config, v->ops->config_size);
}
