// SPDX-License-Identifier: MIT
// Requests to disks: checked, cut into pieces, started, watched and ended.
#include "drivers/block.h"
#include "drivers/dma.h"
#include "drivers/block_piece.h"
#include "kernel/core/cmdline.h"
#include "kernel/core/log.h"
#include "lib/errno.h"

#define TIMEOUT_S     10u // disk_timeout=SECONDS on the command line
#define TIMEOUT_MAX_S 600u
#define RETRIES       1

static u64 timeout_ticks(void)
{
	static u64 ticks;
	char text[8];
	u64 n = 0;

	if (!ticks) {
		if (cmdline_get("disk_timeout", text, sizeof(text)))
			for (const char *c = text; *c >= '0' && *c <= '9'; c++)
				n = n * 10 + (u64)(*c - '0');
		ticks = time_from_ns((n && n <= TIMEOUT_MAX_S ? n : TIMEOUT_S) * 1000000000ull);
	}
	return ticks;
}

static void activate(struct block_queue *q, struct block_request *r)
{
	r->deadline = time_now() + timeout_ticks();
	list_push_back(&q->active, &r->link);
	q->started = true;
	if (!timer_is_set(&q->timer)) // else it goes off too early and looks again
		timer_set(&q->timer, r->deadline);
}

// Starts what waits, in order, until there is no slot; then tells the device.
static void run(struct block_queue *q)
{
	struct block_request *r;

	while (!q->stopped && (r = list_first(&q->waiting, struct block_request, link))) {
		if (!block_piece_choose(q, r) || q->controller->driver->start(q, r)) {
			block_piece_drop(q, r);
			return;
		}
		list_remove(&r->link);
		activate(q, r);
	}
}

static void kick(struct block_queue *q)
{
	if (q->started)
		q->controller->driver->kick(q);
	q->started = false;
}

static void finish(struct block_queue *q, struct block_request *r, int err)
{
	list_remove(&r->link);
	r->err = err;
	list_push_back(&q->finished, &r->link);
}

void block_complete(struct block_queue *q, struct block_request *r, int err)
{
	block_piece_end(q, r, err == 0);
	if (err || !r->left) {
		finish(q, r, err);
		return;
	}
	list_remove(&r->link);
	block_piece_next(r);
	list_push_front(&q->waiting, &r->link);
}

// A request is its user's again when done is called.
static void tell_series(struct list *ended)
{
	struct block_request *r, *next = list_first(ended, struct block_request, link);
	u32 told = 0;

	while ((r = next)) {
		struct block_series *s = r->series;

		list_remove(&r->link);
		next = list_first(ended, struct block_request, link);
		r->done(r, r->err);
		told++;
		if (next && next->series == s)
			continue;
		if (s)
			s->over(s, told);
		told = 0;
	}
}

// Gives back the queue's lock and then calls done for all that have ended, and whose memory the device does not reach
// any more.
static void tell(struct block_queue *q)
{
	struct list ended;
	struct block_request *r;

	list_init(&ended);
	iommu_unmap_end(q->controller->domain, &q->unmapped);
	while ((r = list_first(&q->finished, struct block_request, link))) {
		list_remove(&r->link);
		list_push_back(&ended, &r->link);
	}
	spin_unlock(&q->lock);
	tell_series(&ended);
}

void block_queue_end(struct block_queue *q)
{
	run(q);
	kick(q);
	tell(q);
}

// The time of the first active request has come, or had come if it were still the first.
static void watch(struct timer *t)
{
	struct block_queue *q = container_of(t, struct block_queue, timer);
	struct block_request *r;

	spin_lock(&q->lock);
	while (!q->stopped && (r = list_first(&q->active, struct block_request, link))) {
		if (r->deadline > time_now()) {
			timer_set(&q->timer, r->deadline);
			break;
		}
		r->expiries++;
		list_remove(&r->link);
		list_push_back(&q->active, &r->link);
		r->deadline = time_now() + timeout_ticks();
		if (!q->controller->driver->expire(q, r))
			break; // a reset comes and settles all of them
	}
	block_queue_end(q);
}

int block_queue_init(struct block_queue *q, struct block_controller *c)
{
	*q = (struct block_queue){.lock = SPINLOCK(LOCK_BLOCK), .controller = c};
	list_init(&q->waiting);
	list_init(&q->active);
	list_init(&q->finished);
	timer_init(&q->timer, watch);
	q->bounce = dma_alloc(c->domain, BOUNCE_SIZE);
	return q->bounce ? 0 : -ENOMEM;
}

// ---------------------------------------------------------------- submission

static struct block_queue *own_queue(struct block_controller *c)
{
	return c->queues[this_pcpu()->id % c->queue_count];
}

static int check(const struct block_device *d, const struct block_request *r)
{
	const struct block_limits *l = &d->disk->limits;
	u64 bytes = 0;

	if (r->op != BLOCK_READ && (l->read_only))
		return -EROFS;
	if (r->op == BLOCK_FLUSH)
		return r->segment_count || r->count ? -EINVAL : 0;
	if (!r->count || r->sector > d->sectors || r->count > d->sectors - r->sector)
		return -EINVAL;
	if (!IS_ALIGNED((d->first + r->sector) | r->count, l->block_size / BLOCK_SECTOR))
		return -EINVAL;
	if ((r->op == BLOCK_DISCARD && !l->max_discard) || (r->op == BLOCK_ZERO && !l->max_zero))
		return -EINVAL;
	for (u32 i = 0; i < r->segment_count; i++)
		bytes += r->segments[i].len;
	return bytes == (r->op == BLOCK_READ || r->op == BLOCK_WRITE ? r->count * BLOCK_SECTOR : 0)
		       ? 0
		       : -EINVAL;
}

int block_submit(struct block_device *d, struct block_request *r)
{
	struct block_controller *c = d->disk->controller;
	struct block_queue *q = own_queue(c);
	int err = check(d, r);

	if (err)
		return err;
	r->disk = d->disk;
	r->err = 0;
	r->retries = r->expiries = 0;
	r->left = r->count;
	r->piece = (struct block_piece){.sector = d->first + r->sector};
	spin_lock(&q->lock);
	if (c->dead) {
		spin_unlock(&q->lock);
		return -ENODEV;
	}
	list_push_back(&q->waiting, &r->link);
	run(q);
	spin_unlock(&q->lock);
	return 0;
}

void block_commit(struct block_device *d)
{
	struct block_queue *q = own_queue(d->disk->controller);

	spin_lock(&q->lock);
	kick(q);
	spin_unlock(&q->lock);
	block_hot_submitted(q);
}

// ---------------------------------------------------------------- reset

void block_stop(struct block_controller *c)
{
	for (u32 i = 0; i < c->queue_count; i++) {
		spin_lock(&c->queues[i]->lock);
		c->queues[i]->stopped = true;
		spin_unlock(&c->queues[i]->lock);
	}
}

void block_halt(struct block_queue *q)
{
	q->stopped = true;
	while (!list_empty(&q->active)) {
		struct block_request *r = list_entry(q->active.prev, struct block_request, link);

		block_piece_drop(q, r);
		list_remove(&r->link);
		list_push_front(&q->waiting, &r->link);
	}
}

// What was in flight goes to the front of what waits, in its order; what ran out of time, or of tries, ends.
static void take_back(struct block_queue *q)
{
	while (!list_empty(&q->active)) {
		struct block_request *r = list_entry(q->active.prev, struct block_request, link);

		block_piece_drop(q, r);
		if (r->expiries || r->retries++ >= RETRIES) {
			finish(q, r, -EIO);
			continue;
		}
		list_remove(&r->link);
		list_push_front(&q->waiting, &r->link);
	}
}

void block_resume(struct block_controller *c)
{
	for (u32 i = 0; i < c->queue_count; i++) {
		struct block_queue *q = c->queues[i];

		spin_lock(&q->lock);
		take_back(q);
		q->stopped = false;
		block_queue_end(q);
	}
}

void block_dead(struct block_controller *c)
{
	block_stop(c);
	for (u32 i = 0; i < c->queue_count; i++) {
		struct block_queue *q = c->queues[i];
		struct block_request *r;

		spin_lock(&q->lock);
		c->dead = true;
		take_back(q);
		while ((r = list_first(&q->waiting, struct block_request, link)))
			finish(q, r, -ENODEV);
		block_queue_end(q);
	}
}
