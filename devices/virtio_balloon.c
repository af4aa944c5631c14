// SPDX-License-Identifier: MIT
// virtio-balloon (virtio 1.2, section 5.5).
#include "devices/virtio_balloon.h"

#include "lib/string.h"

// The standard numbers the queue of reports 4. Linux before 6.11 numbers the queues that exist one behind the other, so
// there it is 2 where neither statistics nor hints are offered: all behind the first two take reports.
enum { INFLATE, DEFLATE, REPORT };

#define PFNS 64u // that are read at a time

_Static_assert(sizeof(struct virtio_balloon_config) == 16, "layout of the standard");
_Static_assert(sizeof(struct virtio_balloon_state) == 16 + 16 + 5 * 40, "saved state");

static struct virtio_balloon *balloon_of(struct virtio_device *d)
{
	return container_of(d, struct virtio_balloon, dev);
}

// ---------------------------------------------------------------- naming ranges to the host

// The chain's readable bytes are numbers of pages (5.5.6.1). false: the host has enough for now.
static bool name_inflated(struct virtio_balloon *b)
{
	u32 pfn[PFNS];

	while (b->chain.read_bytes - b->at >= sizeof(pfn[0])) {
		size_t want = (size_t)MIN(b->chain.read_bytes - b->at, sizeof(pfn));
		size_t n = virtqueue_read(&b->queue[b->hand], &b->chain, b->at, pfn, want);

		if (n < sizeof(pfn[0]))
			break; // it is broken
		for (size_t i = 0; i < n / sizeof(pfn[0]); i++) {
			if (!host_drop(b->dev.host, (u64)pfn[i] * PAGE_SIZE, PAGE_SIZE))
				return false;
			b->at += sizeof(pfn[0]);
		}
	}
	return true;
}

// The chain's segments are the free memory itself (5.5.6.7). false: the host has enough for now.
static bool name_reported(struct virtio_balloon *b)
{
	u64 skip = b->at;

	// Pages that the driver has filled must read the same afterwards.
	if (b->dev.accepted & VIRTIO_BALLOON_F_PAGE_POISON && b->config.poison_val)
		return true;
	for (u16 i = 0; i < b->chain.segs; i++) {
		const struct host_segment *s = &b->chain.seg[i];
		u64 n;

		if (skip >= s->len) {
			skip -= s->len;
			continue;
		}
		n = host_drop(b->dev.host, s->gpa + skip, s->len - skip);
		b->at += n;
		if (n < s->len - skip)
			return false;
		skip = 0;
	}
	return true;
}

// ---------------------------------------------------------------- chains

// The oldest chain, else none and the driver will tell.
static bool chain_peek(struct virtqueue *q, struct virtqueue_chain *c)
{
	return virtqueue_peek(q, c) || (virtqueue_set_kicks(q, true) && virtqueue_peek(q, c));
}

static bool chain_take_up(struct virtio_balloon *b)
{
	for (unsigned q = 0; q < VIRTIO_BALLOON_QUEUES; q++) {
		b->chain = (struct virtqueue_chain){.seg = b->seg, .max = ARRAY_SIZE(b->seg)};
		if (q == DEFLATE || !chain_peek(&b->queue[q], &b->chain))
			continue;
		b->hand = q;
		b->at = 0;
		b->stage = BALLOON_NAMING;
		return true;
	}
	return false;
}

static void chain_give_back(struct virtio_balloon *b)
{
	struct virtqueue *q = &b->queue[b->hand];

	b->stage = BALLOON_IDLE;
	virtqueue_next(q);
	virtqueue_push(q, b->chain.head, 0);
	virtio_interrupt(&b->dev, b->hand);
}

// No more than the ring holds: a driver that goes on meanwhile is served by its next notification.
static void serve_deflate(struct virtio_balloon *b)
{
	struct virtqueue *q = &b->queue[DEFLATE];
	struct virtqueue_chain c = {.seg = b->deflate_seg, .max = ARRAY_SIZE(b->deflate_seg)};

	for (u32 i = 0; i < VIRTIO_BALLOON_QUEUE && chain_peek(q, &c); i++) {
		virtqueue_next(q);
		virtqueue_push(q, c.head, 0);
	}
	virtio_interrupt(&b->dev, DEFLATE);
}

// One step of the chain in hand; the host's answer makes the next.
static void serve(struct virtio_balloon *b)
{
	bool all;

	if (b->owed)
		return;
	if (b->stage == BALLOON_NAMED)
		chain_give_back(b);
	if (b->stage == BALLOON_IDLE && !chain_take_up(b))
		return;
	all = b->hand == INFLATE ? name_inflated(b) : name_reported(b);
	b->stage = all ? BALLOON_NAMED : BALLOON_NAMING;
	b->owed = true;
	host_drop_end(b->dev.host);
}

static void dropped(void *device)
{
	struct virtio_balloon *b = device;

	b->owed = false;
	if (!virtio_running(&b->dev))
		return;
	serve(b);
	virtio_check(&b->dev);
}

// ---------------------------------------------------------------- the device

static void balloon_start(struct virtio_device *d)
{
	serve_deflate(balloon_of(d));
	serve(balloon_of(d));
}

static void balloon_reset(struct virtio_device *d)
{
	struct virtio_balloon *b = balloon_of(d);

	b->stage = BALLOON_IDLE;
	b->config.actual = b->config.poison_val = 0;
}

static void balloon_notify(struct virtio_device *d, unsigned queue)
{
	if (queue == DEFLATE)
		serve_deflate(balloon_of(d));
	else
		serve(balloon_of(d));
}

static void balloon_config_read(struct virtio_device *d, u32 offset, void *to, u32 size)
{
	memcpy(to, (const u8 *)&balloon_of(d)->config + offset, size);
}

static void balloon_config_write(struct virtio_device *d, u32 offset, const void *from, u32 size)
{
	struct virtio_balloon *b = balloon_of(d);
	struct virtio_balloon_config c = b->config;

	memcpy((u8 *)&c + offset, from, size);
	b->config.actual = c.actual;
	b->config.poison_val = c.poison_val;
}

static const struct virtio_device_ops balloon_ops = {
	.type = VIRTIO_TYPE_BALLOON,
	.pci_class = 0x00ff00, // unclassified, as other hosts have it
	.config_size = sizeof(struct virtio_balloon_config),
	.start = balloon_start,
	.reset = balloon_reset,
	.notify = balloon_notify,
	.config_read = balloon_config_read,
	.config_write = balloon_config_write,
};

void virtio_balloon_init(struct virtio_balloon *b, struct host *h, u32 pages)
{
	memset(b, 0, sizeof(*b));
	b->dev.ops = &balloon_ops;
	b->dev.host = h;
	b->dev.queue = b->queue;
	b->dev.queues = VIRTIO_BALLOON_QUEUES;
	b->dev.queue_size = VIRTIO_BALLOON_QUEUE;
	b->dev.offered = VIRTIO_BALLOON_F_DEFLATE_ON_OOM | VIRTIO_BALLOON_F_PAGE_POISON |
			 VIRTIO_BALLOON_F_PAGE_REPORTING;
	b->config.num_pages = pages;
	virtio_init(&b->dev);
	host_on_dropped(h, dropped, b);
}

// ---------------------------------------------------------------- save and restore

void virtio_balloon_save(const struct virtio_balloon *b, struct virtio_balloon_state *s)
{
	memset(s, 0, sizeof(*s));
	virtio_save(&b->dev, &s->virtio, s->queue);
	s->config = b->config;
}

bool virtio_balloon_load(struct virtio_balloon *b, const struct virtio_balloon_state *s)
{
	if (s->config.free_page_hint_cmd_id || !virtio_load(&b->dev, &s->virtio, s->queue))
		return false;
	b->config = s->config;
	return true;
}

bool virtio_balloon_resume(struct virtio_balloon *b, const struct virtio_state *s,
	const struct virtqueue_state *queue, struct virtqueue_log *log, u32 life,
	const struct virtio_balloon_config *config)
{
	if (!virtio_resume(&b->dev, s, queue, log, life))
		return false;
	b->config.actual = config->actual;
	b->config.poison_val = config->poison_val;
	return true;
}
