// SPDX-License-Identifier: MIT
// virtio-net: the control queue, and the filter that it sets (virtio 1.2, section 5.1.6.5).
#include "devices/virtio_net.h"

#include "lib/string.h"

enum { CLASS_RX, CLASS_MAC, CLASS_MQ = 4 };
enum { MAC_TABLE_SET, MAC_ADDR_SET };
enum { MQ_PAIRS_SET };
enum { ACK_OK, ACK_ERR };

// The command's bytes behind class and command, read one piece after the other.
struct command {
	struct virtio_net *n;
	struct virtqueue *q;
	const struct virtqueue_chain *c;
	u64 at;
};

static bool command_read(struct command *m, void *to, size_t len)
{
	bool ok = m->at + len <= m->c->read_bytes &&
		  virtqueue_read(m->q, m->c, m->at, to, len) == len;

	m->at += len;
	return ok;
}

// 5.1.6.5.1: each command of the class switches one thing.
static bool rx_mode(struct command *m, u8 command)
{
	struct virtio_net_filter *f = &m->n->filter;
	u8 *mode[] = {&f->promisc, &f->allmulti, &f->alluni, &f->nomulti, &f->nouni, &f->nobcast};
	u8 on;

	if (command >= ARRAY_SIZE(mode) || !command_read(m, &on, 1) || on > 1)
		return false;
	*mode[command] = on;
	return true;
}

// 5.1.6.5.2: two tables, unicast and multicast; one too long for us is "all of that kind".
static bool mac_table(struct command *m)
{
	struct virtio_net_filter f = m->n->filter;

	for (unsigned kind = 0; kind < 2; kind++) {
		u32 entries;

		if (!command_read(m, &entries, sizeof(entries)) ||
			entries > (m->c->read_bytes - m->at) / NET_ADDR)
			return false;
		f.addrs[kind] = (u16)MIN(entries, VIRTIO_NET_ADDRS + 1);
		if (entries <= VIRTIO_NET_ADDRS) {
			if (!command_read(m, f.addr[kind], entries * NET_ADDR))
				return false;
		} else {
			m->at += (u64)entries * NET_ADDR;
		}
	}
	m->n->filter = f;
	return true;
}

static bool mac(struct command *m, u8 command)
{
	u8 addr[NET_ADDR];

	if (command == MAC_TABLE_SET)
		return mac_table(m);
	return command == MAC_ADDR_SET && command_read(m, addr, sizeof(addr)) &&
	       !memcmp(addr, m->n->addr, NET_ADDR); // the port is locked
}

static bool pairs_set(struct command *m, u8 command)
{
	u16 pairs;

	if (command != MQ_PAIRS_SET || !(m->n->dev.accepted & VIRTIO_NET_F_MQ) ||
		!command_read(m, &pairs, sizeof(pairs)) || !pairs || pairs > m->n->pairs)
		return false;
	m->n->active_pairs = pairs;
	return true;
}

static u8 command_do(struct command *m)
{
	struct {
		u8 class, command;
	} h;
	bool ok = false;

	if (!command_read(m, &h, sizeof(h)))
		return ACK_ERR;
	switch (h.class) {
	case CLASS_RX:
		ok = rx_mode(m, h.command);
		break;
	case CLASS_MAC:
		ok = mac(m, h.command);
		break;
	case CLASS_MQ:
		ok = pairs_set(m, h.command);
		break;
	}
	if (ok)
		virtio_net_keep(m->n);
	return ok ? ACK_OK : ACK_ERR;
}

void virtio_net_control(struct virtio_net *n)
{
	unsigned index = virtio_net_control_queue(n), chains = 0;
	struct virtqueue *q = &n->queue[index];

	do {
		struct virtqueue_chain c = {.seg = n->seg, .max = ARRAY_SIZE(n->seg)};

		while (chains < VIRTIO_NET_QUEUE && virtqueue_peek(q, &c)) {
			struct command m = {n, q, &c, 0};
			u8 ack = command_do(&m);
			u32 written = (u32)virtqueue_write(q, &c, 0, &ack, 1);

			if (q->broken)
				return;
			virtqueue_next(q);
			virtqueue_push(q, c.head, written);
			chains++;
		}
	} while (chains < VIRTIO_NET_QUEUE && virtqueue_set_kicks(q, true));
	virtio_interrupt(&n->dev, index);
}

// ---------------------------------------------------------------- the filter

void virtio_net_filter_reset(struct virtio_net *n)
{
	memset(&n->filter, 0, sizeof(n->filter));
	n->filter.promisc = 1;
}

static bool table_has(const struct virtio_net_filter *f, unsigned kind, u64 addr)
{
	if (f->addrs[kind] > VIRTIO_NET_ADDRS)
		return true;
	for (u16 i = 0; i < f->addrs[kind]; i++)
		if (net_addr(f->addr[kind][i]) == addr)
			return true;
	return false;
}

bool virtio_net_filter_wants(const struct virtio_net *n, u64 dst)
{
	const struct virtio_net_filter *f = &n->filter;

	if (f->promisc)
		return true;
	if (dst == NET_BROADCAST)
		return !f->nobcast;
	if (net_addr_is_group(dst))
		return !f->nomulti && (f->allmulti || table_has(f, 1, dst));
	return !f->nouni && (f->alluni || dst == net_addr(n->addr) || table_has(f, 0, dst));
}
