// SPDX-License-Identifier: MIT
// Cuts requests into pieces that one command of the disk can do; what no command can, for the places of its
// memory, is copied through a buffer.
#include "drivers/block_piece.h"
#include "drivers/dma.h"
#include "kernel/core/log.h"
#include "lib/string.h"

static bool has_data(const struct block_request *r)
{
	return r->op == BLOCK_READ || r->op == BLOCK_WRITE;
}

// What of the request from the piece's place on one command can take as it lies, in bytes of whole blocks.
static u64 direct_bytes(const struct block_request *r, u64 most)
{
	const struct block_limits *l = &r->disk->limits;
	u64 bytes = 0;
	u32 offset = r->piece.offset, count = 0;

	for (u32 i = r->piece.segment; i < r->segment_count && bytes < most; i++, offset = 0) {
		u64 at = r->segments[i].at.v + offset, len = r->segments[i].len - offset;

		if (!len)
			continue;
		if (!IS_ALIGNED(at | len, l->align) || count++ == l->max_segments)
			break;
		if (l->page && bytes && !IS_ALIGNED(at, l->page))
			break;
		bytes += len;
		if (l->page && !IS_ALIGNED(at + len, l->page))
			break;
	}
	return ALIGN_DOWN(MIN(bytes, most), l->block_size);
}

// Copies between the queue's buffer and the request's memory.
static void copy(const struct block_queue *q, const struct block_request *r, bool to_buffer)
{
	u64 left = r->piece.sectors * BLOCK_SECTOR;
	u32 offset = r->piece.offset;
	u8 *buffer = q->bounce;

	for (u32 i = r->piece.segment; i < r->segment_count && left; i++, offset = 0) {
		u8 *at = (u8 *)hpa_to_va(r->segments[i].at) + offset;
		u64 n = MIN(left, r->segments[i].len - offset);

		if (to_buffer)
			memcpy(buffer, at, n);
		else
			memcpy(at, buffer, n);
		buffer += n;
		left -= n;
	}
}

static bool bounce(struct block_queue *q, struct block_request *r, u64 most)
{
	if (q->bounce_user)
		return false;
	q->bounce_user = r;
	r->piece.bounced = true;
	r->piece.sectors = MIN(most, BOUNCE_SIZE) / BLOCK_SECTOR;
	r->piece.buffer = (struct block_segment){
		va_to_hpa(q->bounce), (u32)(r->piece.sectors * BLOCK_SECTOR)};
	if (r->op == BLOCK_WRITE)
		copy(q, r, true);
	return true;
}

// ---------------------------------------------------------------- what the device reaches

// Takes back the first `bytes` of the piece's memory.
static void unmap(struct block_queue *q, const struct block_request *r, u64 bytes)
{
	struct block_cursor c;
	struct block_segment s;

	block_cursor_start(&c, r);
	c.left = bytes;
	while (block_cursor_next(&c, &s))
		iommu_unmap(q->controller->domain, s.at, s.len, &q->unmapped);
}

// Lets the device reach the piece's memory, which is no buffer; false: it cannot be done.
static bool map(struct block_queue *q, struct block_request *r)
{
	struct iommu_domain *d = q->controller->domain;
	struct iommu_range range = {0};
	struct block_cursor c;
	struct block_segment s;
	u64 bytes = 0;

	if (!d || r->unreachable)
		return true;
	block_cursor_start(&c, r);
	while (block_cursor_next(&c, &s)) {
		if (!iommu_map(d, s.at, s.len, &range)) {
			unmap(q, r, bytes);
			return false;
		}
		bytes += s.len;
	}
	iommu_map_end(d, &range);
	r->piece.mapped = true;
	return true;
}

// ---------------------------------------------------------------- pieces

// What can go as it lies does, if the IOMMU takes it; else it goes through the buffer.
static bool choose_data(struct block_queue *q, struct block_request *r, u64 most)
{
	u64 bytes = direct_bytes(r, most);

	r->piece.sectors = bytes / BLOCK_SECTOR;
	if (bytes && map(q, r))
		return true;
	r->piece.sectors = 0;
	return bounce(q, r, most);
}

// `left` still counts the piece itself while it is chosen.
bool block_piece_choose(struct block_queue *q, struct block_request *r)
{
	const struct block_limits *l = &r->disk->limits;
	u64 most = MIN(r->left * BLOCK_SECTOR, l->max_bytes);

	if (r->op == BLOCK_FLUSH)
		return true;
	if (!has_data(r)) {
		r->piece.sectors =
			MIN(r->left, r->op == BLOCK_DISCARD ? l->max_discard : l->max_zero);
	} else if (!choose_data(q, r, most)) {
		return false;
	}
	r->left -= r->piece.sectors;
	return true;
}

static void release(struct block_queue *q, struct block_request *r)
{
	if (r->piece.bounced)
		q->bounce_user = NULL;
	if (r->piece.mapped)
		unmap(q, r, r->piece.sectors * BLOCK_SECTOR);
	r->piece.bounced = r->piece.mapped = false;
}

void block_piece_drop(struct block_queue *q, struct block_request *r)
{
	release(q, r);
	r->left += r->piece.sectors;
	r->piece.sectors = 0;
}

void block_piece_end(struct block_queue *q, struct block_request *r, bool good)
{
	if (good && r->piece.bounced && r->op == BLOCK_READ)
		copy(q, r, false);
	release(q, r);
}

void block_piece_next(struct block_request *r)
{
	u64 skip = r->piece.sectors * BLOCK_SECTOR;

	r->piece.sector += r->piece.sectors;
	r->piece.sectors = 0;
	if (!has_data(r))
		return;
	while (skip >= r->segments[r->piece.segment].len - r->piece.offset) {
		skip -= r->segments[r->piece.segment].len - r->piece.offset;
		r->piece.segment++;
		r->piece.offset = 0;
		ASSERT(r->piece.segment <
			r->segment_count); // more is left, so there is memory for it
	}
	r->piece.offset += (u32)skip;
}

void block_cursor_start(struct block_cursor *c, const struct block_request *r)
{
	*c = (struct block_cursor){.left = has_data(r) ? r->piece.sectors * BLOCK_SECTOR : 0};
	if (r->piece.bounced) {
		c->segment = &r->piece.buffer;
	} else {
		c->segment = r->segments + r->piece.segment;
		c->offset = r->piece.offset;
	}
}

bool block_cursor_next(struct block_cursor *c, struct block_segment *out)
{
	u64 n;

	while (c->left && c->segment->len == c->offset) {
		c->segment++;
		c->offset = 0;
	}
	if (!c->left)
		return false;
	n = MIN(c->left, c->segment->len - c->offset);
	*out = (struct block_segment){hpa_add(c->segment->at, c->offset), (u32)n};
	c->left -= n;
	c->segment++;
	c->offset = 0;
	return true;
}
