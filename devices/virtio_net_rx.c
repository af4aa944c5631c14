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

enum virtio_net_taken virtio_net_receive(
	struct virtio_net *n, const struct net_frame *f, u32 *packet)
{
	struct message m = {.f = f};
	unsigned pair;

	if (!virtio_running(&n->dev) || !n->link || f->length < NET_ETHERNET ||
		!virtio_net_filter_wants(n, net_addr(f->head)))
		return VIRTIO_NET_TAKEN;
	pair = n->flow[virtio_net_flow(f->head, f->head_len)] % n->active_pairs;
	if (!n->queue[2 * pair].s.enabled)
		return VIRTIO_NET_TAKEN;
	if (!offload_passes(n, &f->offload))
		return packets_receive(n, pair, &m, packet);
	m.header.offload = f->offload;
	if (!(n->dev.accepted & VIRTIO_NET_F_GUEST_CSUM))
		m.header.offload.flags &= (u8)~NET_DATA_VALID;
	m.packet.length = f->length;
	return message_receive(n, pair, &m);
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
