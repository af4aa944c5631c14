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

// ---------------------------------------------------------------- how many frames go with one notification

// To be woken for a frame costs a back-end as much as the frame. Who sends large ones one after the other, or answers to many bytes
// that it got, is asked to notify of several; what does not come to as many is seen when the guest sleeps, or a little later.
// (virtio_pace.h tells how the right number is found, for each of the two.) Other small frames, which somebody may wait for, are
// told of one by one.
static struct virtio_pace *pace_of(struct virtio_net *n, unsigned pair, u32 bytes, unsigned frames)
{
	if (!frames)
		return NULL;
	if (bytes / frames >= VIRTIO_NET_LARGE)
		return &n->pace[pair][0];
	return n->received >= frames * VIRTIO_NET_LARGE ? &n->pace[pair][1] : NULL;
}

// That many frames were taken, after a notification of as many as were asked for, or without.
static void pace_learn(
	struct virtio_net *n, unsigned pair, struct virtio_pace *p, unsigned frames, bool told)
{
	if (!p)
		return;
	for (unsigned i = 0; i < frames; i++)
		virtio_pace_took(p);
	if (told && (p->goal == 1 || n->paced[pair] == p))
		virtio_pace_reached(p);
}

// Asks for a notification of the next frames; true when they are there already.
static bool ask(struct virtio_net *n, unsigned pair, struct virtio_pace *p)
{
	struct virtqueue *q = &n->queue[2 * pair + 1];
	u16 goal = p ? p->goal : 1;

	n->paced[pair] = NULL;
	if (!q->event_idx || (goal > 1 && !host_net_rest(n->net, true)))
		goal = 1;
	if (goal > 1) {
		n->paced[pair] = p;
		host_timer_set(&n->look, VIRTIO_NET_LOOK_NS);
	}
	return virtqueue_await(q, (u16)(goal - 1));
}

// Sends what is there. told: the driver has notified. true: not all, a call has its share.
static bool send_all(struct virtio_net *n, unsigned pair, bool told)
{
	struct virtqueue *q = &n->queue[2 * pair + 1];
	struct virtio_pace *p;
	unsigned chains = 0, learnt = 0;
	u32 bytes = 0;
	bool more = false;

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
		p = pace_of(n, pair, bytes, chains);
		pace_learn(n, pair, p, chains - learnt, told);
		learnt = chains;
		told = false;
	} while (!more && ask(n, pair, p));
	n->received = 0;
	sent_tell_later(n, pair, bytes);
	return more;
}

static bool transmit(struct virtio_net *n, unsigned pair, bool told)
{
	n->sends++;
	if (n->paced[pair])
		host_net_rest(n->net, false);
	if (virtqueue_settle(&n->queue[2 * pair + 1]))
		n->held[pair] = 0;
	return send_all(n, pair, told);
}

bool virtio_net_transmit(struct virtio_net *n, unsigned pair)
{
	return transmit(n, pair, false);
}

bool virtio_net_notified(struct virtio_net *n, unsigned pair)
{
	return transmit(n, pair, true);
}

u32 virtio_net_look(struct virtio_net *n, bool sleeps)
{
	u32 found = 0;

	for (unsigned i = 0; i < n->pairs; i++) {
		struct virtqueue *q = &n->queue[2 * i + 1];
		struct virtio_pace *p = n->paced[i];
		u16 frames = virtqueue_available(q);

		if (!p)
			continue;
		if (sleeps)
			virtio_pace_rested(p, frames);
		else
			virtio_pace_late(p, frames);
		n->paced[i] = NULL;
		if (frames || virtqueue_set_kicks(q, true))
			found |= 1u << i;
	}
	return found;
}
