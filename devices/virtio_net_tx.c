// SPDX-License-Identifier: MIT
// virtio-net: from the guest's transmit queues to the host's network (virtio 1.2, section 5.1.6.2).
#include "devices/virtio_net.h"

#include "lib/string.h"

_Static_assert(sizeof(struct virtio_net_header) == VIRTIO_NET_HEADER, "layout of the standard");

// What the driver may ask for by what it has negotiated.
static bool offload_negotiated(const struct virtio_net *n, const struct net_offload *o)
{
	u64 f = n->dev.accepted;
	u8 type = o->gso_type & (u8)~NET_GSO_ECN;

	if (o->flags & NET_NEEDS_CSUM && !(f & VIRTIO_NET_F_CSUM))
		return false;
	if (o->gso_type & NET_GSO_ECN && !(f & VIRTIO_NET_F_HOST_ECN))
		return false;
	return !o->gso_type || (type == NET_GSO_TCPV4 && f & VIRTIO_NET_F_HOST_TSO4) ||
	       (type == NET_GSO_TCPV6 && f & VIRTIO_NET_F_HOST_TSO6);
}

// Adds [gpa, gpa + len), page by page; pieces that touch are one. false: not RAM, or too many.
static bool pieces_add(struct virtio_net *n, u32 *count, u64 gpa, u32 len)
{
	while (len) {
		u32 bytes = (u32)MIN(len, PAGE_SIZE - gpa % PAGE_SIZE);
		const u8 *at = host_guest_ptr(n->dev.host, gpa, bytes);
		struct net_segment *last = *count ? &n->piece[*count - 1] : NULL;

		if (!at)
			return false;
		if (last && last->at + last->len == at) {
			last->len += bytes;
		} else {
			if (*count == VIRTIO_NET_PIECES)
				return false;
			n->piece[(*count)++] = (struct net_segment){at, bytes};
		}
		gpa += bytes;
		len -= bytes;
	}
	return true;
}

// The chain's readable bytes from `offset` on as pieces of our memory; false as above.
static bool pieces_make(
	struct virtio_net *n, const struct virtqueue_chain *c, u64 offset, u32 *count)
{
	*count = 0;
	for (u16 i = 0; i < c->readable; i++) {
		if (offset >= c->seg[i].len) {
			offset -= c->seg[i].len;
			continue;
		}
		if (!pieces_add(n, count, c->seg[i].gpa + offset, (u32)(c->seg[i].len - offset)))
			return false;
		offset = 0;
	}
	return true;
}

// The chain as a frame. false: it is none; the queue is broken if a part of it was not RAM.
static bool frame_make(struct virtio_net *n, struct virtqueue *q, const struct virtqueue_chain *c,
	struct net_frame *f)
{
	struct virtio_net_header h;

	if (c->read_bytes < VIRTIO_NET_HEADER + NET_ETHERNET ||
		c->read_bytes > VIRTIO_NET_HEADER + NET_FRAME_MAX)
		return false;
	f->length = (u32)c->read_bytes - VIRTIO_NET_HEADER;
	f->head_len = MIN(f->length, NET_HEAD);
	if (virtqueue_read(q, c, 0, &h, sizeof(h)) != sizeof(h) ||
		virtqueue_read(q, c, sizeof(h), f->head, f->head_len) != f->head_len)
		return false;
	f->offload = h.offload;
	f->seg = n->piece;
	if (!pieces_make(n, c, sizeof(h) + f->head_len, &f->segs)) {
		q->broken = "frame outside memory, or in too many pieces";
		return false;
	}
	return offload_negotiated(n, &f->offload) && net_offload_check(f);
}

// Returns the bytes sent.
static u32 chain_send(
	struct virtio_net *n, struct virtqueue *q, const struct virtqueue_chain *c, unsigned pair)
{
	struct net_frame f;

	if (!frame_make(n, q, c, &f)) {
		n->dropped_bad++;
		return 0;
	}
	n->flow[virtio_net_flow(f.head, f.head_len)] = (u8)pair;
	if (n->link)
		host_net_send(n->net, &f);
	return f.length;
}

// Drivers take back what was sent when they send the next frame, or receive one: to be told of each would cost them an
// interrupt for nothing. So that waits a little; who has taken back everything by then is not told at all.
static void sent_tell_later(struct virtio_net *n, unsigned pair, u32 bytes)
{
	struct virtqueue *q = &n->queue[2 * pair + 1];

	n->held[pair] += bytes;
	if (virtqueue_untold(q) >= VIRTIO_NET_UNTOLD || n->held[pair] >= VIRTIO_NET_HELD) {
		n->held[pair] = 0;
		virtio_interrupt(&n->dev, 2 * pair + 1);
	} else if (virtqueue_untold(q) && !n->tell.armed) {
		n->sends_seen = n->sends;
		host_timer_set(&n->tell, VIRTIO_NET_TELL_NS);
	}
}

void virtio_net_tell(struct virtio_net *n)
{
	for (unsigned i = 0; i < n->pairs; i++) {
		n->held[i] = 0;
		if (2 * i + 1 != virtio_net_control_queue(n) && n->queue[2 * i + 1].s.enabled)
			virtio_interrupt(&n->dev, 2 * i + 1);
	}
}

bool virtio_net_transmit(struct virtio_net *n, unsigned pair)
{
	struct virtqueue *q = &n->queue[2 * pair + 1];
	unsigned chains = 0;
	u32 bytes = 0;
	bool more = false;

	n->sends++;
	if (virtqueue_settle(q))
		n->held[pair] = 0;
	do {
		struct virtqueue_chain c = {.seg = n->seg, .max = ARRAY_SIZE(n->seg)};

		while (!more && virtqueue_peek(q, &c)) {
			bytes += chain_send(n, q, &c, pair);
			if (q->broken)
				return false;
			virtqueue_next(q);
			virtqueue_push(q, c.head, 0);
			more = ++chains == VIRTIO_NET_SHARE || bytes >= VIRTIO_NET_BYTES;
		}
	} while (!more && virtqueue_set_kicks(q, true));
	sent_tell_later(n, pair, bytes);
	return more;
}
