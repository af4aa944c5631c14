// SPDX-License-Identifier: MIT
// The way of a request through io_uring: in pieces of at most 1 MiB, one at a time.
#include "devices/host_linux/host_linux_block.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512u
#define PIECE  (1u << 20) // bytes of a READ or WRITE that go together, ...
#define IOVECS 128u       // ... of so many segments
#define TRIES  16u        // of a piece of which nothing moves

// Ways to give up sectors, or to zero them, the best first. The first is the discard of a device, which leaves anything there; it
// exists up to Linux 6.10. A discard that the file knows no way for is done: what the sectors hold matters no more.
#define KEEP FALLOC_FL_KEEP_SIZE
static const int discard_ways[] = {
	KEEP | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_NO_HIDE_STALE, KEEP | FALLOC_FL_PUNCH_HOLE};
static const int zero_ways[] = {KEEP | FALLOC_FL_ZERO_RANGE, KEEP | FALLOC_FL_PUNCH_HOLE};

const struct host_block_info *host_block_info(const struct host_block *b)
{
	return &b->info;
}

void host_block_on_idle(struct host_block *b, void (*idle)(void *device), void *device)
{
	b->idle = idle;
	b->device = device;
}

static void request_end(struct host_block_request *q, enum host_block_status status)
{
	struct host_flight *f = host_flight_of(q);

	host_ring_bounce_give(f->block->ring, f);
	f->block->finished = true;
	q->done(q, status);
}

// ---------------------------------------------------------------- segments

// How many bytes of the segment in hand are left; those that are used up, or empty, are passed over. There is one, as the flight
// is not at its end.
static u32 segment_left(const struct host_block_request *q, struct host_flight *f)
{
	while (f->offset == q->segment[f->segment].len) {
		f->segment++;
		f->offset = 0;
	}
	return q->segment[f->segment].len - f->offset;
}

// Goes n bytes on in the segments, which have as many.
static void flight_advance(const struct host_block_request *q, struct host_flight *f, u64 n)
{
	f->done += n;
	while (n) {
		u32 part = (u32)MIN(n, (u64)segment_left(q, f));

		n -= part;
		f->offset += part;
	}
}

// Copies the next n bytes of the segments from or to a buffer, and goes on.
static void flight_copy(struct host_block_request *q, u8 *buffer, u64 n, bool to_guest)
{
	struct host_flight *f = host_flight_of(q);
	struct host *h = f->block->host;

	while (n) {
		u32 part = (u32)MIN(n, (u64)segment_left(q, f));
		u8 *at = h->memory + q->segment[f->segment].gpa + f->offset;

		memcpy(to_guest ? at : buffer, to_guest ? buffer : at, part);
		flight_advance(q, f, part);
		buffer += part;
		n -= part;
	}
}

// Gathers segments from where the flight is, as far as they are aligned. Returns how many, and in f->piece their bytes.
static u32 segments_gather(struct host_block_request *q, struct iovec *v)
{
	struct host_flight *f = host_flight_of(q);
	struct host_block *b = f->block;
	u32 n = 0, offset = f->offset;

	f->piece = 0;
	for (u32 i = f->segment; i < q->segments && n < IOVECS && f->piece < PIECE; i++) {
		u8 *at = b->host->memory + q->segment[i].gpa + offset;
		u32 len = MIN(q->segment[i].len - offset, PIECE - f->piece);

		offset = 0;
		if (!len)
			continue;
		if (b->direct && ((uintptr_t)at % b->align || len % b->block))
			break;
		v[n++] = (struct iovec){at, len};
		f->piece += len;
	}
	return n;
}

// ---------------------------------------------------------------- down

// The next piece, as iovecs: the guest's memory itself, or else a buffer. 0: no buffer is free.
static u32 piece_prepare(struct host_block_request *q, struct iovec *v)
{
	struct host_flight *f = host_flight_of(q), here;
	u32 n = segments_gather(q, v);
	u8 *bounce;

	if (n)
		return n;
	bounce = host_ring_bounce(f->block->ring, f);
	if (!bounce)
		return 0;
	f->piece = (u32)MIN((u64)HOST_RING_BOUNCE, q->count * SECTOR - f->done);
	*v = (struct iovec){bounce, f->piece};
	here = *f;
	if (q->op == HOST_BLOCK_WRITE)
		flight_copy(q, bounce, f->piece, false);
	*f = here; // it goes on when the bytes have moved
	return 1;
}

static bool transfer(struct host_block_request *q)
{
	struct host_flight *f = host_flight_of(q);
	struct host_ring *r = f->block->ring;
	u64 at = q->sector * SECTOR + f->done;
	struct iovec v[IOVECS];
	u32 n = piece_prepare(q, v);
	struct io_uring_sqe *e = n ? host_ring_entry(r, n) : NULL;

	if (!e)
		return false;
	memcpy(&r->iovec[r->iovecs], v, n * sizeof(*v));
	if (q->op == HOST_BLOCK_WRITE)
		io_uring_prep_writev(e, f->block->fd, &r->iovec[r->iovecs], n, at);
	else
		io_uring_prep_readv(e, f->block->fd, &r->iovec[r->iovecs], n, at);
	r->iovecs += n;
	io_uring_sqe_set_data(e, q);
	return true;
}

static bool clear(struct host_block_request *q)
{
	struct host_block *b = host_flight_of(q)->block;
	bool zero = q->op == HOST_BLOCK_ZERO;
	struct io_uring_sqe *e = host_ring_entry(b->ring, 0);

	if (!e)
		return false;
	io_uring_prep_fallocate(e, b->fd, zero ? zero_ways[b->way[1]] : discard_ways[b->way[0]],
		(off_t)(q->sector * SECTOR), (off_t)(q->count * SECTOR));
	io_uring_sqe_set_data(e, q);
	return true;
}

static bool flush(struct host_block_request *q)
{
	struct host_block *b = host_flight_of(q)->block;
	struct io_uring_sqe *e = host_ring_entry(b->ring, 0);

	if (!e)
		return false;
	b->dirty = false;
	io_uring_prep_fsync(e, b->fd, IORING_FSYNC_DATASYNC);
	io_uring_sqe_set_data(e, q);
	return true;
}

// The next step of a request; false: there is no room for it now.
static bool step(struct host_block_request *q)
{
	switch (q->op) {
	case HOST_BLOCK_READ:
	case HOST_BLOCK_WRITE:
		return transfer(q);
	case HOST_BLOCK_FLUSH:
		return flush(q);
	default:
		return clear(q);
	}
}

void host_block_go_on(struct host_block_request *q)
{
	if (!step(q))
		host_ring_wait(host_flight_of(q)->block->ring, q);
}

// ---------------------------------------------------------------- up

// Bytes of the piece have moved.
static void piece_moved(struct host_block_request *q, u32 bytes)
{
	struct host_flight *f = host_flight_of(q);
	struct host_block *b = f->block;

	if (f->bounce && q->op == HOST_BLOCK_READ)
		flight_copy(q, b->ring->bounce + (f->bounce - 1u) * HOST_RING_BOUNCE, bytes, true);
	else
		flight_advance(q, f, bytes);
	host_ring_bounce_give(b->ring, f);
	f->tries = 0;
	if (f->done == q->count * SECTOR)
		request_end(q, HOST_BLOCK_OK);
	else
		host_block_go_on(q);
}

// 0 is the end of the file, which has become shorter.
static void transfer_moved(struct host_block_request *q, s32 result)
{
	struct host_flight *f = host_flight_of(q);
	bool again = result == -EAGAIN || result == -EINTR;

	if (result > 0 && f->block->direct)
		result -= result % (s32)f->block->block;
	if (result > 0)
		piece_moved(q, MIN((u32)result, f->piece));
	else if (again && f->tries++ < TRIES)
		host_block_go_on(q);
	else
		request_end(q, HOST_BLOCK_ERROR);
}

static bool is_refused(s32 result)
{
	return result == -EOPNOTSUPP || result == -EINVAL || result == -ENOSYS;
}

static void clear_moved(struct host_block_request *q, s32 result)
{
	struct host_block *b = host_flight_of(q)->block;
	bool zero = q->op == HOST_BLOCK_ZERO;
	u8 last = (u8)((zero ? ARRAY_SIZE(zero_ways) : ARRAY_SIZE(discard_ways)) - 1);

	if (is_refused(result) && b->way[zero] < last) {
		b->way[zero]++;
		host_block_go_on(q);
	} else if (is_refused(result)) {
		request_end(q, zero ? HOST_BLOCK_UNSUPPORTED : HOST_BLOCK_OK);
	} else {
		request_end(q, result ? HOST_BLOCK_ERROR : HOST_BLOCK_OK);
	}
}

void host_block_moved(struct host_block_request *q, s32 result)
{
	struct host_block *b = host_flight_of(q)->block;

	switch (q->op) {
	case HOST_BLOCK_WRITE:
		b->dirty = true;
		transfer_moved(q, result);
		break;
	case HOST_BLOCK_READ:
		transfer_moved(q, result);
		break;
	case HOST_BLOCK_FLUSH:
		b->dirty |= result != 0;
		request_end(q, result ? HOST_BLOCK_ERROR : HOST_BLOCK_OK);
		break;
	default:
		b->dirty = true;
		clear_moved(q, result);
	}
}

void host_blocks_idle(struct host_ring *r)
{
	for (struct host_block *b = r->blocks; b; b = b->next) {
		if (!b->finished)
			continue;
		b->finished = false;
		if (b->idle)
			b->idle(b->device);
	}
}

// ---------------------------------------------------------------- the device's calls

static bool range_good(const struct host_block *b, const struct host_block_request *q)
{
	u32 blocks = b->info.block_size / SECTOR;

	return q->sector <= b->info.sectors && q->count <= b->info.sectors - q->sector &&
	       !(q->sector % blocks) && !(q->count % blocks);
}

static enum host_block_status segments_check(
	const struct host_block *b, const struct host_block_request *q)
{
	u64 bytes = 0;

	for (u32 i = 0; i < q->segments; i++) {
		const struct host_segment *s = &q->segment[i];

		if (s->len && !host_linux_is_ram(b->host, s->gpa, s->len))
			return HOST_BLOCK_NOT_RAM;
		bytes += s->len;
	}
	return bytes == q->count * SECTOR ? HOST_BLOCK_OK : HOST_BLOCK_ERROR;
}

static enum host_block_status request_check(
	const struct host_block *b, const struct host_block_request *q)
{
	bool moves = q->op == HOST_BLOCK_READ || q->op == HOST_BLOCK_WRITE;

	if (q->op == HOST_BLOCK_FLUSH)
		return HOST_BLOCK_OK;
	if (!range_good(b, q) || (b->info.read_only && q->op != HOST_BLOCK_READ))
		return HOST_BLOCK_ERROR;
	return moves ? segments_check(b, q) : HOST_BLOCK_OK;
}

void host_block_submit(struct host_block *b, struct host_block_request *q)
{
	enum host_block_status status = request_check(b, q);

	*host_flight_of(q) = (struct host_flight){.block = b};
	if (status != HOST_BLOCK_OK || (!q->count && q->op != HOST_BLOCK_FLUSH))
		q->done(q, status);
	else
		host_block_go_on(q);
}

void host_block_commit(struct host_block *b)
{
	host_ring_submit(b->ring);
}

// What is in flight cannot be called back.
void host_block_cancel(struct host_block *b)
{
	(void)b;
}

// ---------------------------------------------------------------- settling

static void settled(struct host_block_request *q, enum host_block_status status)
{
	struct host_block *b = container_of(q, struct host_block, last);

	if (status != HOST_BLOCK_OK)
		host_log(b->host,
			"disk %.20s: what was written last may not outlive a loss of power",
			b->info.id);
	b->dirty = b->settling = false;
}

bool host_block_settle(struct host_block *b)
{
	if (b->dirty && !b->settling) {
		b->settling = true;
		b->last = (struct host_block_request){.op = HOST_BLOCK_FLUSH, .done = settled};
		host_block_submit(b, &b->last);
		host_block_commit(b);
	}
	return !b->settling;
}
