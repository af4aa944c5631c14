// SPDX-License-Identifier: MIT
// virtio-console: moves bytes between its two queues and the host's console (virtio 1.2, section 5.3).
#include "devices/console.h"

#include "lib/string.h"

#define CHAINS_PER_CALL VIRTIO_CONSOLE_QUEUE
#define RETRY_NS        1000000ull // the host took less than it was offered: try again after
#define PAUSE_NS        100000ull  // a call has done its share: go on after

struct config { // 5.3.4
	u16 cols, rows;
	u32 max_ports;
	u32 emerg_wr;
};

_Static_assert(sizeof(struct virtio_console_state) == 16 + 2 * 40 + 16 + 4096, "saved state");

static struct virtio_console *console_of(struct virtio_device *d)
{
	return container_of(d, struct virtio_console, dev);
}

static struct virtqueue_chain chain_in(struct virtio_console *c)
{
	return (struct virtqueue_chain){.seg = c->seg, .max = ARRAY_SIZE(c->seg)};
}

// ---------------------------------------------------------------- output

enum progress { DONE, HOST_FULL, SHARE_USED };

// Writes what is left of the chain at the head, no more than *share bytes.
static enum progress chain_write(
	struct virtio_console *c, const struct virtqueue_chain *chain, size_t *share)
{
	struct virtqueue *q = &c->queue[VIRTIO_CONSOLE_TX];
	u8 buf[256];

	while (c->tx_done < chain->read_bytes) {
		size_t n = MIN(sizeof(buf), *share), taken;

		if (!n)
			return SHARE_USED;
		n = virtqueue_read(q, chain, c->tx_done, buf, n);
		if (q->broken)
			return DONE;
		taken = host_console_write(c->dev.host, buf, n);
		c->tx_done += taken;
		*share -= taken;
		if (taken < n)
			return HOST_FULL;
	}
	return DONE;
}

static enum progress transmit_some(struct virtio_console *c)
{
	struct virtqueue *q = &c->queue[VIRTIO_CONSOLE_TX];
	size_t share = VIRTIO_CONSOLE_SHARE;
	unsigned chains = 0;

	do {
		struct virtqueue_chain chain = chain_in(c);

		while (virtqueue_peek(q, &chain)) {
			enum progress p = chains < CHAINS_PER_CALL ? chain_write(c, &chain, &share)
								   : SHARE_USED;

			if (p != DONE || q->broken)
				return p;
			chains++;
			c->tx_done = 0;
			virtqueue_next(q);
			virtqueue_push(q, chain.head, 0);
		}
	} while (virtqueue_set_kicks(q, true));
	return DONE;
}

static void transmit(struct virtio_console *c)
{
	switch (transmit_some(c)) {
	case DONE:
		break;
	case HOST_FULL:
		host_timer_set(&c->later, RETRY_NS);
		break;
	case SHARE_USED:
		host_timer_set(&c->later, PAUSE_NS);
		break;
	}
	virtio_interrupt(&c->dev, VIRTIO_CONSOLE_TX);
}

// ---------------------------------------------------------------- input

// Moves kept bytes into one chain; returns how many.
static u32 chain_fill(struct virtio_console *c, const struct virtqueue_chain *chain)
{
	struct virtqueue *q = &c->queue[VIRTIO_CONSOLE_RX];
	u32 filled = 0;

	while (c->in_count && filled < chain->write_bytes && !q->broken) {
		u32 n = MIN(c->in_count, VIRTIO_CONSOLE_INPUT - c->in_head); // up to the ring's end

		n = (u32)virtqueue_write(q, chain, filled, c->input + c->in_head, n);
		filled += n;
		c->in_head = (c->in_head + n) % VIRTIO_CONSOLE_INPUT;
		c->in_count -= n;
	}
	return filled;
}

// The driver's notifications are wanted only while there is input that found no buffer.
static void receive(struct virtio_console *c)
{
	struct virtqueue *q = &c->queue[VIRTIO_CONSOLE_RX];
	unsigned chains = 0;

	do {
		struct virtqueue_chain chain = chain_in(c);

		while (c->in_count && virtqueue_peek(q, &chain)) {
			u32 filled;

			if (chains++ == CHAINS_PER_CALL) {
				host_timer_set(&c->later, PAUSE_NS);
				goto out;
			}
			filled = chain_fill(c, &chain);
			virtqueue_next(q);
			virtqueue_push(q, chain.head, filled);
		}
	} while (virtqueue_set_kicks(q, c->in_count));
out:
	virtio_interrupt(&c->dev, VIRTIO_CONSOLE_RX);
	if (c->in_refused && c->in_count < VIRTIO_CONSOLE_INPUT) {
		c->in_refused = false;
		host_console_room(c->dev.host);
	}
}

size_t virtio_console_input(struct virtio_console *c, const u8 *bytes, size_t len)
{
	size_t taken = 0;

	if (!virtio_console_live(c))
		return 0;
	while (taken < len && c->in_count < VIRTIO_CONSOLE_INPUT) {
		while (taken < len && c->in_count < VIRTIO_CONSOLE_INPUT) {
			u32 at = (c->in_head + c->in_count++) % VIRTIO_CONSOLE_INPUT;

			c->input[at] = bytes[taken++];
		}
		receive(c);
	}
	c->in_refused = taken < len; // no room is left, so the driver's next buffers will come here
	virtio_check(&c->dev);
	return taken;
}

bool virtio_console_live(const struct virtio_console *c)
{
	return virtio_running(&c->dev) && c->queue[VIRTIO_CONSOLE_RX].s.enabled;
}

// ---------------------------------------------------------------- the device

static void console_start(struct virtio_device *d)
{
	transmit(console_of(d));
	receive(console_of(d));
}

static void console_reset(struct virtio_device *d)
{
	struct virtio_console *c = console_of(d);

	host_timer_cancel(&c->later);
	c->tx_done = 0;
	c->in_head = c->in_count = 0;
	if (c->in_refused)
		host_console_room(d->host);
	c->in_refused = false;
}

static void console_notify(struct virtio_device *d, unsigned queue)
{
	if (queue == VIRTIO_CONSOLE_TX)
		transmit(console_of(d));
	else
		receive(console_of(d));
}

static void config_read(struct virtio_device *d, u32 offset, void *to, u32 size)
{
	static const struct config config = {
		.max_ports = 1}; // the size of a terminal is not offered

	(void)d;
	memcpy(to, (const u8 *)&config + offset, size);
}

// A byte written to emerg_wr is output at once, in whatever state the device is (5.3.6.1); lost if there is no room.
static void config_write(struct virtio_device *d, u32 offset, const void *from, u32 size)
{
	if (offset == offsetof(struct config, emerg_wr) && size)
		host_console_write(d->host, from, 1);
}

static const struct virtio_device_ops console_ops = {
	.type = VIRTIO_TYPE_CONSOLE,
	.pci_class = 0x078000, // communication controller, other
	.config_size = sizeof(struct config),
	.start = console_start,
	.reset = console_reset,
	.notify = console_notify,
	.config_read = config_read,
	.config_write = config_write,
};

void virtio_console_room(struct virtio_console *c)
{
	if (!virtio_running(&c->dev))
		return;
	transmit(c);
	virtio_check(&c->dev);
}

static void console_later(struct host_timer *t)
{
	struct virtio_console *c = container_of(t, struct virtio_console, later);

	if (!virtio_running(&c->dev))
		return;
	console_start(&c->dev);
	virtio_check(&c->dev);
}

void virtio_console_init(struct virtio_console *c, struct host *h)
{
	memset(c, 0, sizeof(*c));
	c->dev.ops = &console_ops;
	c->dev.host = h;
	c->dev.queue = c->queue;
	c->dev.queues = VIRTIO_CONSOLE_QUEUES;
	c->dev.queue_size = VIRTIO_CONSOLE_QUEUE;
	c->dev.offered = VIRTIO_CONSOLE_F_EMERG_WRITE;
	virtio_init(&c->dev);
	host_timer_init(h, &c->later, console_later);
}

void virtio_console_destroy(struct virtio_console *c)
{
	host_timer_destroy(&c->later);
}

// ---------------------------------------------------------------- save and restore

void virtio_console_save(const struct virtio_console *c, struct virtio_console_state *s)
{
	memset(s, 0, sizeof(*s));
	virtio_save(&c->dev, &s->virtio, s->queue);
	s->tx_done = c->tx_done;
	s->in_count = c->in_count;
	for (u32 i = 0; i < c->in_count; i++)
		s->input[i] = c->input[(c->in_head + i) % VIRTIO_CONSOLE_INPUT];
}

bool virtio_console_load(struct virtio_console *c, const struct virtio_console_state *s)
{
	if (s->in_count > VIRTIO_CONSOLE_INPUT || s->reserved || s->tx_done > 4 * GiB ||
		!virtio_load(&c->dev, &s->virtio, s->queue))
		return false;
	c->tx_done = s->tx_done;
	c->in_head = 0;
	c->in_count = s->in_count;
	memcpy(c->input, s->input, sizeof(c->input));
	return true;
}
