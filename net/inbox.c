// SPDX-License-Identifier: MIT
// Frames in a ring of bytes: a header of 16 bytes, the frame's bytes, and as many more that the next header is aligned.
#include "net/inbox.h"

#include "lib/atomic.h"
#include "lib/string.h"

struct record {
	u32 length;
	struct net_offload offload;
	u16 reserved;
};

#define RECORD 16u

_Static_assert(sizeof(struct record) == RECORD, "never straddles the ring's end");

static u64 record_size(u32 length)
{
	return ALIGN_UP((u64)RECORD + length, RECORD);
}

void net_inbox_init(struct net_inbox *b, u8 *ring, u32 size)
{
	*b = (struct net_inbox){.ring = ring, .size = size};
}

static void ring_copy(struct net_inbox *b, u64 at, const u8 *from, u32 len)
{
	u32 first = MIN(len, b->size - (u32)(at & (b->size - 1)));

	memcpy(b->ring + (at & (b->size - 1)), from, first);
	memcpy(b->ring, from + first, len - first);
}

bool net_inbox_put(struct net_inbox *b, const struct net_frame *f)
{
	u64 at = b->put, used = at - __atomic_load_n(&b->got, __ATOMIC_ACQUIRE);
	struct record r = {.length = f->length, .offload = f->offload};
	u32 done = f->head_len;

	if (record_size(f->length) > b->size - used || f->head_len > f->length)
		return false;
	ring_copy(b, at, (const u8 *)&r, RECORD);
	ring_copy(b, at + RECORD, f->head, f->head_len);
	for (u32 i = 0; i < f->segs; i++) {
		if (f->seg[i].len > f->length - done)
			return false;
		ring_copy(b, at + RECORD + done, f->seg[i].at, f->seg[i].len);
		done += f->seg[i].len;
	}
	if (done != f->length)
		return false;
	__atomic_store_n(&b->put, at + record_size(f->length), __ATOMIC_RELEASE);
	return true;
}

bool net_inbox_is_empty(const struct net_inbox *b)
{
	return __atomic_load_n(&b->got, __ATOMIC_ACQUIRE) ==
	       __atomic_load_n(&b->put, __ATOMIC_ACQUIRE);
}

static const struct record *record_at(const struct net_inbox *b)
{
	return (const void *)(b->ring + (b->got & (b->size - 1)));
}

bool net_inbox_peek(struct net_inbox *b, struct net_frame *f)
{
	u64 at = b->got + RECORD;
	const struct record *r = record_at(b);
	u32 from, first, rest;

	if (b->got == __atomic_load_n(&b->put, __ATOMIC_ACQUIRE))
		return false;
	f->length = r->length;
	f->offload = r->offload;
	f->head_len = MIN(f->length, NET_HEAD);
	from = (u32)(at & (b->size - 1));
	first = MIN(f->head_len, b->size - from);
	memcpy(f->head, b->ring + from, first);
	memcpy(f->head + first, b->ring, f->head_len - first);
	from = (u32)((at + f->head_len) & (b->size - 1));
	rest = f->length - f->head_len;
	first = MIN(rest, b->size - from);
	b->seg[0] = (struct net_segment){b->ring + from, first};
	b->seg[1] = (struct net_segment){b->ring, rest - first};
	f->seg = b->seg;
	f->segs = 2;
	return true;
}

void net_inbox_next(struct net_inbox *b)
{
	__atomic_store_n(&b->got, b->got + record_size(record_at(b)->length), __ATOMIC_RELEASE);
}
