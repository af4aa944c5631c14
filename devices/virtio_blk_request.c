// SPDX-License-Identifier: MIT
// Parsing of virtio-blk requests: nothing is assumed about where one descriptor ends (virtio 1.2, section 2.7.4.1).
#include "devices/virtio_blk_request.h"

#include "lib/string.h"

struct header { // 5.2.6
	u32 type;
	u32 reserved;
	u64 sector;
};

struct range { // of DISCARD and WRITE_ZEROES
	u64 sector;
	u32 count;
	u32 flags;
};

#define RANGE_UNMAP 1u

_Static_assert(sizeof(struct header) == 16 && sizeof(struct range) == 16, "layout of the standard");

// Cuts `bytes` off the front of seg[from, to); returns the first that has any left.
static u32 cut_front(struct host_segment *seg, u32 from, u32 to, u32 bytes)
{
	while (from < to && bytes >= seg[from].len)
		bytes -= seg[from++].len;
	if (from < to) {
		seg[from].gpa += bytes;
		seg[from].len -= bytes;
	}
	return from;
}

// Cuts the last byte off seg[from, to), which has one; returns the new end. *gpa is where it is.
static u32 cut_status(struct host_segment *seg, u32 from, u32 to, u64 *gpa)
{
	while (to > from && !seg[to - 1].len)
		to--;
	seg[to - 1].len--;
	*gpa = seg[to - 1].gpa + seg[to - 1].len;
	return to;
}

static enum virtio_blk_verdict answer_with(u8 *answer, u8 status)
{
	*answer = status;
	return VIRTIO_BLK_ANSWER;
}

static bool inside_disk(const struct virtio_blk *b, u64 sector, u64 count)
{
	return sector <= b->config.capacity && count <= b->config.capacity - sector;
}

static enum virtio_blk_verdict transfer(struct virtio_blk *b, struct virtio_blk_slot *s,
	enum host_block_op op, u64 sector, u64 bytes, u8 *answer)
{
	s->request.op = op;
	s->request.sector = sector;
	s->request.count = bytes >> VIRTIO_BLK_SECTOR_SHIFT;
	if (bytes % VIRTIO_BLK_SECTOR || !inside_disk(b, sector, s->request.count))
		return answer_with(answer, VIRTIO_BLK_S_IOERR);
	if (op == HOST_BLOCK_WRITE && b->dev.offered & VIRTIO_BLK_F_RO)
		return answer_with(answer, VIRTIO_BLK_S_IOERR);
	return bytes ? VIRTIO_BLK_SUBMIT : answer_with(answer, VIRTIO_BLK_S_OK);
}

// DISCARD or WRITE_ZEROES: one range (max_discard_seg is 1).
static enum virtio_blk_verdict clear(struct virtio_blk *b, struct virtio_blk_slot *s,
	struct virtqueue *q, const struct virtqueue_chain *c, bool discard, u8 *answer)
{
	u64 feature = discard ? VIRTIO_BLK_F_DISCARD : VIRTIO_BLK_F_WRITE_ZEROES;
	u32 most = discard ? b->config.max_discard_sectors : b->config.max_write_zeroes_sectors;
	struct range r;

	if (!(b->dev.offered & feature))
		return answer_with(answer, VIRTIO_BLK_S_UNSUPP);
	if (c->read_bytes != sizeof(struct header) + sizeof(r))
		return answer_with(answer, VIRTIO_BLK_S_IOERR);
	if (virtqueue_read(q, c, sizeof(struct header), &r, sizeof(r)) != sizeof(r))
		return VIRTIO_BLK_BROKEN;
	if (r.flags & ~(discard ? 0 : RANGE_UNMAP))
		return answer_with(answer, VIRTIO_BLK_S_UNSUPP);
	if (r.count > most || !inside_disk(b, r.sector, r.count))
		return answer_with(answer, VIRTIO_BLK_S_IOERR);
	s->request.op = discard ? HOST_BLOCK_DISCARD : HOST_BLOCK_ZERO;
	s->request.sector = r.sector;
	s->request.count = r.count;
	return r.count ? VIRTIO_BLK_SUBMIT : answer_with(answer, VIRTIO_BLK_S_OK);
}

static enum virtio_blk_verdict get_id(struct virtio_blk *b, struct virtio_blk_slot *s,
	struct virtqueue *q, const struct virtqueue_chain *c, u8 *answer)
{
	const struct host_block_info *info = host_block_info(b->store);

	s->filled = MIN(s->data, (u32)sizeof(info->id));
	if (virtqueue_write(q, c, 0, info->id, s->filled) != s->filled)
		return VIRTIO_BLK_BROKEN;
	return answer_with(answer, VIRTIO_BLK_S_OK);
}

static enum virtio_blk_verdict broken(struct virtqueue *q, const char *why)
{
	if (!q->broken)
		q->broken = why;
	return VIRTIO_BLK_BROKEN;
}

// The segments that hold data: the readable ones behind the header, or the writable ones before the status.
static void segments_cut(
	struct virtio_blk_slot *s, const struct virtqueue_chain *c, bool writable, u32 end)
{
	u32 from =
		writable ? c->readable : cut_front(s->seg, 0, c->readable, sizeof(struct header));

	s->request.segment = &s->seg[from];
	s->request.segments = (writable ? end : c->readable) - from;
}

enum virtio_blk_verdict virtio_blk_parse(struct virtio_blk *b, struct virtio_blk_slot *s,
	struct virtqueue *q, const struct virtqueue_chain *c, u8 *answer)
{
	struct header h;
	u32 end;

	if (c->read_bytes < sizeof(h) || !c->write_bytes)
		return broken(q, "request without header or status");
	if (virtqueue_read(q, c, 0, &h, sizeof(h)) != sizeof(h))
		return VIRTIO_BLK_BROKEN;
	s->data = (u32)(c->write_bytes - 1);
	s->filled = 0;
	end = cut_status(s->seg, c->readable, c->segs, &s->status);
	s->request.segment = s->seg;
	s->request.segments = 0;
	switch (h.type) {
	case VIRTIO_BLK_T_IN:
		segments_cut(s, c, true, end);
		s->filled = s->data;
		return transfer(b, s, HOST_BLOCK_READ, h.sector, s->data, answer);
	case VIRTIO_BLK_T_OUT:
		segments_cut(s, c, false, end);
		return transfer(
			b, s, HOST_BLOCK_WRITE, h.sector, c->read_bytes - sizeof(h), answer);
	case VIRTIO_BLK_T_FLUSH:
		s->request.op = HOST_BLOCK_FLUSH;
		s->request.sector = s->request.count = 0;
		return VIRTIO_BLK_SUBMIT;
	case VIRTIO_BLK_T_GET_ID:
		return get_id(b, s, q, c, answer);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return clear(b, s, q, c, h.type == VIRTIO_BLK_T_DISCARD, answer);
	default:
		return answer_with(answer, VIRTIO_BLK_S_UNSUPP);
	}
}
