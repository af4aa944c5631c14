// SPDX-License-Identifier: MIT
// virtio-blk: rings to store and back, configuration, reset (virtio 1.2, section 5.2).
#include "devices/virtio_blk.h"
#include "devices/virtio_blk_request.h"

#include "lib/string.h"

#define PAUSE_NS 100000ull // a call has done its share: go on after

#define CONFIG_SIZE 60u // the struct has padding behind it

_Static_assert(
	offsetof(struct virtio_blk_config, unused1) + 3 == CONFIG_SIZE, "layout of the standard");
_Static_assert(offsetof(struct virtio_blk_config, num_queues) == 34, "layout of the standard");
_Static_assert(sizeof(struct virtio_blk_state) == 16 + 8 + 40 * VIRTIO_BLK_QUEUES, "saved state");
_Static_assert(VIRTIO_BLK_QUEUES <= 32, "sets of queues have 32 bits");

static struct virtio_blk *blk_of(struct virtio_device *d)
{
	return container_of(d, struct virtio_blk, dev);
}

// ---------------------------------------------------------------- slots

static void slot_free(struct virtio_blk_slot *s)
{
	s->next = s->blk->spare;
	s->blk->spare = s;
}

static struct virtio_blk_slot *slot_take(struct virtio_blk *b)
{
	struct virtio_blk_slot *s = b->spare;

	b->spare = s->next;
	return s;
}

// ---------------------------------------------------------------- completion

// Status byte, used ring. Nothing is said of a part that was written before an error.
static void slot_answer(struct virtio_blk_slot *s, u8 status)
{
	struct virtio_blk *b = s->blk;
	struct virtqueue *q = &b->queue[s->queue];
	u32 written = status == VIRTIO_BLK_S_OK ? s->filled : 0;

	if (!host_guest_write(b->dev.host, s->status, &status, 1) && !q->broken)
		q->broken = "status outside memory";
	if (written == s->data)
		written = s->data + 1; // up to the status
	virtqueue_push(q, s->head, written);
	b->used |= 1u << s->queue;
	slot_free(s);
}

static u8 status_of(enum host_block_status status)
{
	switch (status) {
	case HOST_BLOCK_OK:
		return VIRTIO_BLK_S_OK;
	case HOST_BLOCK_UNSUPPORTED:
		return VIRTIO_BLK_S_UNSUPP;
	default:
		return VIRTIO_BLK_S_IOERR;
	}
}

static void slot_submit(struct virtio_blk_slot *s)
{
	s->blk->in_flight++;
	host_block_submit(s->blk->store, &s->request);
}

// What a driver that knows no flush wrote is flushed for it.
static bool needs_flush(const struct virtio_blk *b, const struct host_block_request *r)
{
	return r->op != HOST_BLOCK_READ && r->op != HOST_BLOCK_FLUSH &&
	       !(b->dev.accepted & VIRTIO_BLK_F_FLUSH);
}

static void request_done(struct host_block_request *r, enum host_block_status status)
{
	struct virtio_blk_slot *s = container_of(r, struct virtio_blk_slot, request);
	struct virtio_blk *b = s->blk;
	struct virtqueue *q = &b->queue[s->queue];

	b->in_flight--;
	if (b->dev.resetting || !b->dev.dma) {
		slot_free(s); // its driver has gone
		return;
	}
	if (status == HOST_BLOCK_OK && needs_flush(b, r)) {
		r->op = HOST_BLOCK_FLUSH;
		r->sector = r->count = 0;
		slot_submit(s);
		return;
	}
	if (status == HOST_BLOCK_NOT_RAM && !q->broken)
		q->broken = "segment outside memory";
	slot_answer(s, status_of(status));
}

// ---------------------------------------------------------------- taking requests

// Takes the chain that is at the head of queue i, if there is one.
static bool request_take(struct virtio_blk *b, unsigned i)
{
	struct virtqueue *q = &b->queue[i];
	struct virtqueue_chain c = {.seg = b->spare->seg, .max = VIRTIO_BLK_SEGMENTS};
	struct virtio_blk_slot *s;
	u8 answer = 0;

	if (!virtqueue_peek(q, &c))
		return false;
	s = slot_take(b);
	s->head = c.head;
	s->queue = (u16)i;
	virtio_pace_took(&b->pace[i]);
	virtqueue_next(q);
	switch (virtio_blk_parse(b, s, q, &c, &answer)) {
	case VIRTIO_BLK_SUBMIT:
		slot_submit(s);
		break;
	case VIRTIO_BLK_ANSWER:
		slot_answer(s, answer);
		break;
	case VIRTIO_BLK_BROKEN:
		slot_free(s);
		return false;
	}
	return true;
}

// A store that takes its time shall have half of what the driver puts before it waits while the driver puts the rest.
static u16 queue_goal(const struct virtio_blk *b, unsigned i)
{
	u16 goal = b->pace[i].goal;

	if (!b->queue[i].event_idx)
		return 1;
	return host_block_info(b->store)->immediate ? goal : (u16)((goal + 1) / 2);
}

// Asks the driver to notify of the next chains; true when they are there already.
static bool queue_ask(struct virtio_blk *b, unsigned i)
{
	struct virtqueue *q = &b->queue[i];
	u16 goal = queue_goal(b, i);

	b->aged &= ~(1u << i);
	if (goal > 1)
		b->unasked |= 1u << i;
	else
		b->unasked &= ~(1u << i);
	return virtqueue_await(q, (u16)(goal - 1));
}

// Looks whether there are chains of which the driver was not to tell. If so the queue waits to be served; else the
// driver shall tell of the next one, unless it sleeps until what is in flight is done, and will put more then.
static void queue_look(struct virtio_blk *b, unsigned i, bool sleeps)
{
	u16 n = virtqueue_available(&b->queue[i]);

	if (sleeps)
		virtio_pace_slept(&b->pace[i], n);
	else
		virtio_pace_late(&b->pace[i], n);
	if (sleeps && !n && b->in_flight)
		return;
	b->unasked &= ~(1u << i);
	b->aged &= b->unasked;
	if (n || virtqueue_set_kicks(&b->queue[i], true))
		b->waiting |= 1u << i;
}

// While a store that takes its time has something in flight, the queues are looked at when some of that is done.
static void look_later(struct virtio_blk *b)
{
	bool timer = b->unasked && (!b->in_flight || host_block_info(b->store)->immediate);

	if (timer && !b->look.armed)
		host_timer_set(&b->look, VIRTIO_BLK_LOOK_NS);
	else if (!timer && b->look.armed)
		host_timer_cancel(&b->look);
	if (b->rest.on != (b->unasked != 0))
		host_rest_set(b->dev.host, &b->rest, b->unasked);
}

// Takes what is available in queue i: a ring full at most, and while there are slots; else it goes on waiting.
static void queue_serve(struct virtio_blk *b, unsigned i)
{
	unsigned share = VIRTIO_BLK_QUEUE_SIZE;

	b->waiting &= ~(1u << i);
	do {
		do {
			if (!b->spare || !share--) {
				b->waiting |= 1u << i;
				return;
			}
		} while (request_take(b, i));
	} while (queue_ask(b, i));
}

// Serves the queues that wait, and tells the driver what was done meanwhile. Beginning with another queue each time
// when there are not slots enough for all.
static void serve(struct virtio_blk *b)
{
	unsigned queues = b->dev.queues, first = b->turn++ % queues;

	b->inside = true;
	for (unsigned n = 0; n < queues && !b->paused; n++)
		if (b->waiting & 1u << (first + n) % queues)
			queue_serve(b, (first + n) % queues);
	host_block_commit(b->store);
	b->inside = false;
	for (unsigned i = 0; i < queues; i++)
		if (b->used & 1u << i)
			virtio_interrupt(&b->dev, i);
	b->used = 0;
	if (b->waiting && b->spare && !b->paused)
		host_timer_set(&b->later, PAUSE_NS);
	look_later(b);
}

// ---------------------------------------------------------------- entries

static void serve_and_check(struct virtio_blk *b)
{
	if (b->inside || !virtio_running(&b->dev))
		return;
	serve(b);
	virtio_check(&b->dev);
}

static void blk_start(struct virtio_device *d)
{
	struct virtio_blk *b = blk_of(d);

	b->waiting = (u32)(BIT(d->queues) - 1);
	serve(b);
}

static void blk_notify(struct virtio_device *d, unsigned queue)
{
	struct virtio_blk *b = blk_of(d);

	if (queue_goal(b, queue) == 1 || b->unasked & 1u << queue)
		virtio_pace_reached(&b->pace[queue]);
	b->waiting |= 1u << queue;
	serve(b);
}

// Looks at those queues of the set that may have something.
static void look(struct virtio_blk *b, u32 queues, bool sleeps)
{
	if (b->inside || !virtio_running(&b->dev))
		return;
	for (unsigned i = 0; i < b->dev.queues; i++)
		if (b->unasked & queues & 1u << i)
			queue_look(b, i, sleeps);
	if (b->waiting)
		serve(b);
	else
		look_later(b);
	virtio_check(&b->dev);
}

static void blk_look(struct host_timer *t)
{
	struct virtio_blk *b = container_of(t, struct virtio_blk, look);
	u32 aged = b->aged;

	b->aged = b->unasked;
	look(b, aged, false);
}

static void blk_rest(struct host_rest *r, unsigned vcpu)
{
	struct virtio_blk *b = container_of(r, struct virtio_blk, rest);

	if (b->unasked & 1u << vcpu % b->dev.queues)
		look(b, 1u << vcpu % b->dev.queues, true);
}

static void blk_later(struct host_timer *t)
{
	serve_and_check(container_of(t, struct virtio_blk, later));
}

// The store is done with some requests.
static void blk_idle(void *device)
{
	struct virtio_blk *b = device;

	b->waiting |= b->unasked; // without a notification, as they cost none now
	if (!b->dev.resetting)
		serve_and_check(b);
	else if (!b->in_flight)
		virtio_reset(&b->dev);
}

// Not over before nothing is in flight: the driver will use its buffers for something else (2.4.1).
static void blk_reset(struct virtio_device *d)
{
	struct virtio_blk *b = blk_of(d);

	host_timer_cancel(&b->later);
	b->waiting = b->used = b->unasked = b->aged = 0;
	look_later(b);
	for (unsigned i = 0; i < d->queues; i++)
		virtio_pace_reset(&b->pace[i], VIRTIO_BLK_GOAL_MAX, VIRTIO_BLK_PATIENCE);
	d->resetting = true;
	if (b->in_flight)
		host_block_cancel(b->store);
	virtio_reset_pending(d, b->in_flight);
}

static void config_read(struct virtio_device *d, u32 offset, void *to, u32 size)
{
	memcpy(to, (const u8 *)&blk_of(d)->config + offset, size);
}

static void config_write(struct virtio_device *d, u32 offset, const void *from, u32 size)
{
	(void)d; // `writeback` could be written if CONFIG_WCE were offered
	(void)offset;
	(void)from;
	(void)size;
}

static const struct virtio_device_ops blk_ops = {
	.type = VIRTIO_TYPE_BLOCK,
	.pci_class = 0x010000, // mass storage, SCSI
	.config_size = CONFIG_SIZE,
	.any_order = true,
	.start = blk_start,
	.reset = blk_reset,
	.notify = blk_notify,
	.config_read = config_read,
	.config_write = config_write,
};

// ---------------------------------------------------------------- life

static u8 exponent(u32 value)
{
	u8 n = 0;

	while (n < 31 && 1u << (n + 1) <= value)
		n++;
	return n;
}

static u64 features_of(const struct host_block_info *info, unsigned queues)
{
	u64 f = VIRTIO_BLK_F_SIZE_MAX | VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_BLK_SIZE |
		VIRTIO_BLK_F_FLUSH | VIRTIO_BLK_F_TOPOLOGY;

	if (queues > 1)
		f |= VIRTIO_BLK_F_MQ;
	if (info->read_only)
		return f | VIRTIO_BLK_F_RO;
	if (info->discard)
		f |= VIRTIO_BLK_F_DISCARD;
	if (info->zero)
		f |= VIRTIO_BLK_F_WRITE_ZEROES;
	return f;
}

static struct virtio_blk_config config_of(const struct host_block_info *info, unsigned queues)
{
	u32 most = (u32)MIN(info->max_sectors, BIT(31)), block = info->block_size;
	u32 per_physical = MAX(info->physical_block / block, 1u);

	return (struct virtio_blk_config){
		.capacity = info->sectors,
		.size_max = VIRTIO_BLK_SEGMENT_MAX,
		.seg_max = MIN(MAX(info->max_segments, 1u), VIRTIO_BLK_SEG_MAX),
		.blk_size = block,
		.physical_block_exp = exponent(per_physical),
		.min_io_size = (u16)MIN(per_physical, 0xffffu),
		.writeback = 1,
		.num_queues = (u16)queues,
		.max_discard_sectors = info->discard ? most : 0,
		.max_discard_seg = info->discard,
		.discard_sector_alignment = block / VIRTIO_BLK_SECTOR,
		.max_write_zeroes_sectors = info->zero ? most : 0,
		.max_write_zeroes_seg = info->zero,
		.write_zeroes_may_unmap = info->zero,
	};
}

void virtio_blk_init(
	struct virtio_blk *b, struct host *h, struct host_block *store, unsigned queues)
{
	const struct host_block_info *info = host_block_info(store);

	memset(b, 0, offsetof(struct virtio_blk, slot)); // what else a slot holds, a request sets
	b->store = store;
	b->config = config_of(info, queues);
	b->dev.ops = &blk_ops;
	b->dev.host = h;
	b->dev.queue = b->queue;
	b->dev.queues = (u16)queues;
	b->dev.queue_size = VIRTIO_BLK_QUEUE_SIZE;
	b->dev.offered = features_of(info, queues);
	for (unsigned i = VIRTIO_BLK_SLOTS; i-- > 0;) {
		b->slot[i].blk = b;
		b->slot[i].request.done = request_done;
		slot_free(&b->slot[i]);
	}
	for (unsigned i = 0; i < queues; i++)
		virtio_pace_reset(&b->pace[i], VIRTIO_BLK_GOAL_MAX, VIRTIO_BLK_PATIENCE);
	virtio_init(&b->dev);
	host_timer_init(h, &b->later, blk_later);
	host_timer_init(h, &b->look, blk_look);
	b->rest.fn = blk_rest;
	host_block_on_idle(store, blk_idle, b);
}

void virtio_blk_destroy(struct virtio_blk *b)
{
	host_timer_destroy(&b->later);
	host_timer_destroy(&b->look);
	if (b->rest.on)
		host_rest_set(b->dev.host, &b->rest, false);
}

void virtio_blk_pause(struct virtio_blk *b, bool on)
{
	b->paused = on;
	if (!on)
		serve_and_check(b);
}

// ---------------------------------------------------------------- save and restore

bool virtio_blk_save(const struct virtio_blk *b, struct virtio_blk_state *s)
{
	if (b->in_flight || b->dev.resetting)
		return false;
	for (unsigned i = 0; i < b->dev.queues; i++)
		if (b->queue[i].redo)
			return false;
	memset(s, 0, sizeof(*s));
	virtio_save(&b->dev, &s->virtio, s->queue);
	s->capacity = b->config.capacity;
	return true;
}

bool virtio_blk_load(struct virtio_blk *b, const struct virtio_blk_state *s)
{
	static const struct virtqueue_state none;

	if (s->capacity != b->config.capacity)
		return false;
	for (unsigned i = b->dev.queues; i < VIRTIO_BLK_QUEUES; i++)
		if (memcmp(&s->queue[i], &none, sizeof(none)) != 0)
			return false;
	return virtio_load(&b->dev, &s->virtio, s->queue);
}
