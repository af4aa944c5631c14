// SPDX-License-Identifier: MIT
// virtio-net: from the host's network into the guest's receive queues (virtio 1.2, section 5.1.6.4).
//
// A packet that finds too few buffers leaves the queue as it was: chains are taken one after the other, written, and
// given back together, or not at all; also if our process is killed meanwhile.
#include "devices/virtio_net.h"

#include "lib/string.h"

// Can the driver take over what the frame's sender left to do?
static bool offload_passes(const struct virtio_net *n, const struct net_offload *o)
{
	u64 f = n->dev.accepted;
	u8 type = o->gso_type & (u8)~NET_GSO_ECN;

	if (o->flags & NET_NEEDS_CSUM && !(f & VIRTIO_NET_F_GUEST_CSUM))
		return false;
	if (o->gso_type & NET_GSO_ECN && !(f & VIRTIO_NET_F_GUEST_ECN))
		return false;
	return !o->gso_type || (type == NET_GSO_TCPV4 && f & VIRTIO_NET_F_GUEST_TSO4) ||
	       (type == NET_GSO_TCPV6 && f & VIRTIO_NET_F_GUEST_TSO6);
}

static struct net_offload offload_told(const struct virtio_net *n, const struct net_frame *f)
{
	struct net_offload o = f->offload;

	if (!(n->dev.accepted & VIRTIO_NET_F_GUEST_CSUM))
		o.flags &= (u8)~NET_DATA_VALID;
	return o;
}

// A packet with its header, as bytes from 0 to `length`.
struct message {
	struct virtio_net_header header;
	const struct net_frame *f;
	struct net_packet packet;
	u32 length;
};

// The bytes at `offset` of the message, and in *len how many lie together.
static const u8 *message_at(const struct message *m, u32 offset, u32 *len)
{
	const u8 *at;

	if (offset < VIRTIO_NET_HEADER) {
		*len = VIRTIO_NET_HEADER - offset;
		return (const u8 *)&m->header + offset;
	}
	offset -= VIRTIO_NET_HEADER;
	if (offset < m->packet.header_len) {
		*len = m->packet.header_len - offset;
		return m->packet.header + offset;
	}
	offset -= m->packet.header_len;
	at = net_frame_at(m->f, m->packet.offset + offset, len);
	*len = MIN(*len, m->packet.length - offset);
	return at;
}

// Fills the chain from `offset` of the message on; returns how many bytes went there.
static u32 chain_fill(
	struct virtqueue *q, const struct virtqueue_chain *c, const struct message *m, u32 offset)
{
	u32 filled = 0;

	while (offset < m->length && filled < c->write_bytes) {
		u32 len;
		const u8 *from = message_at(m, offset, &len);

		if (!from)
			break;
		len = (u32)virtqueue_write(q, c, filled, from, len);
		if (!len)
			break;
		filled += len;
		offset += len;
	}
	return filled;
}

enum written { WRITTEN, NO_BUFFERS, TOO_LONG };

// The chains of one packet; the first is kept, as its header says in the end how many there are. *seen: how many there
// were when that was not enough.
static enum written message_write(
	struct virtio_net *n, struct virtqueue *q, struct message *m, u16 *seen)
{
	struct virtqueue_chain first = {.seg = n->first, .max = ARRAY_SIZE(n->first)};
	struct virtqueue_chain next = {.seg = n->seg, .max = ARRAY_SIZE(n->seg)}, *c = &first;
	u16 head[VIRTIO_NET_MERGE], begin = q->s.next_avail;
	u32 len[VIRTIO_NET_MERGE],
		max = n->dev.accepted & VIRTIO_NET_F_MRG_RXBUF ? VIRTIO_NET_MERGE : 1;
	u32 done = 0, chains = 0;

	n->ahead.chains = 0;
	do {
		if (chains == max || !virtqueue_peek(q, c)) {
			q->s.next_avail = begin;
			*seen = (u16)chains;
			return chains == max ? TOO_LONG : NO_BUFFERS;
		}
		head[chains] = c->head;
		len[chains] = chain_fill(q, c, m, done);
		done += len[chains++];
		virtqueue_next(q);
		c = &next;
	} while (done < m->length && !q->broken);
	if (chains > 1) {
		m->header.buffers = (u16)chains;
		virtqueue_write(q, &first, offsetof(struct virtio_net_header, buffers),
			&m->header.buffers, 2);
	}
	virtqueue_push_all(q, head, len, chains);
	return WRITTEN;
}

#define TRIES 4u // buffers may come while we say that we wait for them

static enum virtio_net_taken message_receive(struct virtio_net *n, unsigned pair, struct message *m)
{
	struct virtqueue *q = &n->queue[2 * pair];
	u16 seen;

	m->length = VIRTIO_NET_HEADER + m->packet.header_len + m->packet.length;
	m->header.buffers = 1;
	for (unsigned i = 0; i < TRIES; i++) {
		if (message_write(n, q, m, &seen) != NO_BUFFERS || q->broken)
			return VIRTIO_NET_TAKEN;
		if (!virtqueue_await(q, seen)) {
			n->starved[pair] = true;
			return VIRTIO_NET_FULL;
		}
	}
	return VIRTIO_NET_TAKEN; // a driver that gives buffers one by one gets none of it
}

// Some of the frame's packets, from *packet on; all if there is room.
static enum virtio_net_taken packets_receive(
	struct virtio_net *n, unsigned pair, struct message *m, u32 *packet)
{
	if (!net_cut_begin(&n->cut, m->f, *packet))
		return VIRTIO_NET_TAKEN;
	while (net_cut_next(&n->cut, &m->packet)) {
		if (message_receive(n, pair, m) == VIRTIO_NET_FULL)
			return VIRTIO_NET_FULL;
		++*packet;
	}
	return VIRTIO_NET_TAKEN;
}

// *pair: the queue that gets it.
static bool is_wanted(const struct virtio_net *n, const struct net_frame *f, unsigned *pair)
{
	if (!virtio_running(&n->dev) || !n->link || f->length < NET_ETHERNET ||
		!virtio_net_filter_wants(n, net_addr(f->head)))
		return false;
	*pair = n->flow[virtio_net_flow(f->head, f->head_len)] % n->active_pairs;
	return n->queue[2 * *pair].s.enabled;
}

enum virtio_net_taken virtio_net_receive(
	struct virtio_net *n, const struct net_frame *f, u32 *packet)
{
	struct message m = {.f = f};
	unsigned pair;

	if (!is_wanted(n, f, &pair))
		return VIRTIO_NET_TAKEN;
	n->last_pair = pair;
	n->received += f->length;
	if (!offload_passes(n, &f->offload))
		return packets_receive(n, pair, &m, packet);
	m.header.offload = offload_told(n, f);
	m.packet.length = f->length;
	return message_receive(n, pair, &m);
}

// ---------------------------------------------------------------- frames that are read into the guest's memory

#define PLACE_HEAD (VIRTIO_NET_HEADER + NET_HEAD) // written when it is known
#define PLACE_MIN  (VIRTIO_NET_HEADER + NET_FRAME_MAX)

// Adds what is for us to write of the chain, page by page. false: not RAM, or too many pieces.
static bool ahead_pieces(
	struct virtio_net *n, struct virtio_net_ahead *a, const struct virtqueue_chain *c)
{
	for (u16 i = c->readable; i < c->segs; i++) {
		u64 gpa = c->seg[i].gpa;
		u32 left = c->seg[i].len;

		while (left) {
			u32 bytes = (u32)MIN(left, PAGE_SIZE - gpa % PAGE_SIZE);
			u8 *at = host_guest_ptr(n->dev.host, gpa, bytes);

			if (!at || a->pieces == VIRTIO_NET_PLACES)
				return false;
			a->piece[a->pieces++] = (struct virtio_net_piece){at, bytes, a->chains};
			gpa += bytes;
			left -= bytes;
		}
	}
	return true;
}

// Looks at the chain behind those that were looked at. false: there is none, or none for this.
static bool ahead_add(struct virtio_net *n, struct virtio_net_ahead *a, struct virtqueue *q)
{
	struct virtqueue_chain c = {.seg = n->seg, .max = ARRAY_SIZE(n->seg)};
	u16 begin = q->s.next_avail;
	u32 pieces = a->pieces;
	bool found;

	q->s.next_avail = (u16)(begin + a->chains);
	found = virtqueue_peek(q, &c);
	q->s.next_avail = begin;
	if (!found || c.write_bytes > NET_FRAME_MAX * 2 ||
		(!a->chains && c.write_bytes < PLACE_HEAD))
		return false;
	if (!c.write_bytes || !ahead_pieces(n, a, &c)) {
		a->pieces = pieces;
		return false;
	}
	a->head[a->chains] = c.head;
	a->len[a->chains++] = (u32)c.write_bytes;
	a->bytes += (u32)c.write_bytes;
	return true;
}

// The first `chains` are used.
static void ahead_drop(struct virtio_net_ahead *a, u32 chains)
{
	u32 pieces = 0;

	while (pieces < a->pieces && a->piece[pieces].chain < chains)
		pieces++;
	for (u32 i = 0; i < chains; i++)
		a->bytes -= a->len[i];
	a->chains -= chains;
	a->pieces -= pieces;
	memmove(a->head, a->head + chains, a->chains * sizeof(a->head[0]));
	memmove(a->len, a->len + chains, a->chains * sizeof(a->len[0]));
	memmove(a->piece, a->piece + pieces, a->pieces * sizeof(a->piece[0]));
	for (u32 i = 0; i < a->pieces; i++)
		a->piece[i].chain -= chains;
}

u32 virtio_net_place(struct virtio_net *n, struct virtio_net_piece piece[VIRTIO_NET_PLACES])
{
	struct virtio_net_ahead *a = &n->ahead;
	u32 pair = n->last_pair % n->active_pairs, count = 0, skip = PLACE_HEAD;
	u32 max = n->dev.accepted & VIRTIO_NET_F_MRG_RXBUF ? VIRTIO_NET_MERGE : 1;

	if (!virtio_running(&n->dev) || !n->queue[2 * pair].s.enabled || n->starved[pair])
		return 0;
	if (!a->chains || a->pair != pair)
		*a = (struct virtio_net_ahead){.pair = pair};
	while (a->bytes < PLACE_MIN)
		if (a->chains == max || !ahead_add(n, a, &n->queue[2 * pair]))
			return 0;
	for (u32 i = 0; i < a->pieces; i++) {
		u32 left = a->piece[i].len - MIN(skip, a->piece[i].len);

		if (left)
			piece[count++] = (struct virtio_net_piece){
				a->piece[i].at + a->piece[i].len - left, left, a->piece[i].chain};
		skip -= a->piece[i].len - left;
	}
	return count;
}

// The header and the head, which the chain at the front has room for.
static void head_write(
	struct virtio_net_ahead *a, const struct virtio_net_header *h, const struct net_frame *f)
{
	u8 bytes[PLACE_HEAD];
	u32 len = (u32)sizeof(*h) + MIN(f->head_len, NET_HEAD), done = 0;

	memcpy(bytes, h, sizeof(*h));
	memcpy(bytes + sizeof(*h), f->head, len - sizeof(*h));
	for (u32 i = 0; done < len; i++) {
		u32 part = MIN(len - done, a->piece[i].len);

		memcpy(a->piece[i].at, bytes + done, part);
		done += part;
	}
}

// Gives the chains that the frame fills back.
static void placed_push(struct virtio_net *n, struct virtqueue *q, const struct net_frame *f)
{
	struct virtio_net_ahead *a = &n->ahead;
	struct virtio_net_header h = {.offload = offload_told(n, f)};
	u32 left = VIRTIO_NET_HEADER + f->length, chains = 0, len[VIRTIO_NET_MERGE];

	while (left) {
		len[chains] = MIN(left, a->len[chains]);
		left -= len[chains++];
	}
	h.buffers = (u16)chains;
	head_write(a, &h, f);
	q->s.next_avail = (u16)(q->s.next_avail + chains);
	virtqueue_push_all(q, a->head, len, chains);
	ahead_drop(a, chains);
}

bool virtio_net_receive_placed(struct virtio_net *n, const struct net_frame *f)
{
	unsigned pair;

	if (!is_wanted(n, f, &pair))
		return true;
	if (!n->ahead.chains || n->ahead.pair != pair || !offload_passes(n, &f->offload))
		return false;
	n->received += f->length;
	placed_push(n, &n->queue[2 * pair], f);
	return true;
}

void virtio_net_receive_end(struct virtio_net *n)
{
	if (!virtio_running(&n->dev))
		return;
	for (unsigned i = 0; i < n->active_pairs; i++)
		if (n->queue[2 * i].s.enabled)
			virtio_interrupt(&n->dev, 2 * i);
	virtio_check(&n->dev);
}
