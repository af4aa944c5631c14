// SPDX-License-Identifier: MIT
// virtio-rng (virtio 1.2, section 5.4).
#include "devices/virtio_rng.h"

#include "lib/string.h"

#define CHAIN_MAX 4096u     // bytes of a chain that are filled; a driver takes what it gets
#define PAUSE_NS  100000ull // a call has done its share: go on after

_Static_assert(sizeof(struct virtio_rng_state) == 16 + 40, "saved state");

static struct virtio_rng *rng_of(struct virtio_device *d)
{
	return container_of(d, struct virtio_rng, dev);
}

// Fills the writable part of a chain, as far as CHAIN_MAX; returns how many bytes.
static u32 chain_fill(struct virtio_rng *r, const struct virtqueue_chain *chain)
{
	u32 most = (u32)MIN(chain->write_bytes, CHAIN_MAX), filled = 0;
	u8 buf[256];

	while (filled < most && !r->queue.broken) {
		u32 n = MIN(most - filled, (u32)sizeof(buf));

		host_random(r->dev.host, buf, n);
		filled += (u32)virtqueue_write(&r->queue, chain, filled, buf, n);
	}
	memset(buf, 0, sizeof(buf));
	return filled;
}

static void serve(struct virtio_rng *r)
{
	u32 share = VIRTIO_RNG_SHARE, chains = 0;

	do {
		struct virtqueue_chain chain = {.seg = r->seg, .max = ARRAY_SIZE(r->seg)};

		while (virtqueue_peek(&r->queue, &chain)) {
			u32 filled;

			if (share < CHAIN_MAX || chains++ == VIRTIO_RNG_QUEUE) {
				host_timer_set(&r->later, PAUSE_NS);
				goto out;
			}
			filled = chain_fill(r, &chain);
			share -= filled;
			virtqueue_next(&r->queue);
			virtqueue_push(&r->queue, chain.head, filled);
		}
	} while (virtqueue_set_kicks(&r->queue, true));
out:
	virtio_interrupt(&r->dev, 0);
}

static void rng_start(struct virtio_device *d)
{
	serve(rng_of(d));
}

static void rng_reset(struct virtio_device *d)
{
	host_timer_cancel(&rng_of(d)->later);
}

static void rng_notify(struct virtio_device *d, unsigned queue)
{
	(void)queue; // there is one
	serve(rng_of(d));
}

static void rng_later(struct host_timer *t)
{
	struct virtio_rng *r = container_of(t, struct virtio_rng, later);

	if (!virtio_running(&r->dev))
		return;
	serve(r);
	virtio_check(&r->dev);
}

static const struct virtio_device_ops rng_ops = {
	.type = VIRTIO_TYPE_RNG,
	.pci_class = 0x00ff00, // unclassified, as other hosts have it
	.start = rng_start,
	.reset = rng_reset,
	.notify = rng_notify,
};

void virtio_rng_init(struct virtio_rng *r, struct host *h)
{
	memset(r, 0, sizeof(*r));
	r->dev.ops = &rng_ops;
	r->dev.host = h;
	r->dev.queue = &r->queue;
	r->dev.queues = 1;
	r->dev.queue_size = VIRTIO_RNG_QUEUE;
	virtio_init(&r->dev);
	host_timer_init(h, &r->later, rng_later);
}

void virtio_rng_destroy(struct virtio_rng *r)
{
	host_timer_destroy(&r->later);
}

void virtio_rng_save(const struct virtio_rng *r, struct virtio_rng_state *s)
{
	memset(s, 0, sizeof(*s));
	virtio_save(&r->dev, &s->virtio, &s->queue);
}

bool virtio_rng_load(struct virtio_rng *r, const struct virtio_rng_state *s)
{
	return virtio_load(&r->dev, &s->virtio, &s->queue);
}
