// SPDX-License-Identifier: MIT
// virtio-net: its life, its configuration and its queues' notifications (virtio 1.2, sections 5.1.2 to 5.1.5).
#include "devices/virtio_net.h"

#include "lib/string.h"

#define STATUS_LINK_UP 1u

#define FEATURES                                                                                   \
	(VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_MTU | VIRTIO_NET_F_MAC |       \
		VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 | VIRTIO_NET_F_GUEST_ECN |       \
		VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_HOST_ECN |          \
		VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_STATUS | VIRTIO_NET_F_CTRL_VQ |              \
		VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_RX_EXTRA | VIRTIO_NET_F_CTRL_MAC_ADDR)

struct config { // 5.1.4
	u8 addr[NET_ADDR];
	u16 status;
	u16 max_pairs;
	u16 mtu;
};

_Static_assert(sizeof(struct config) == 12, "layout of the standard");
_Static_assert(
	sizeof(struct virtio_net_state) == 16 + 17 * 40 + 8 + 10 + 2 * 64 * 6 + 6, "saved state");
_Static_assert(sizeof(struct virtio_net_kept) == 8 + 2 * (2 + 10 + 2 * 64 * 6), "without holes");

unsigned virtio_net_control_queue(const struct virtio_net *n)
{
	return n->dev.accepted & VIRTIO_NET_F_MQ ? 2u * n->pairs : 2u;
}

static bool has_control(const struct virtio_net *n)
{
	return n->dev.accepted & VIRTIO_NET_F_CTRL_VQ;
}

static void transmit(struct virtio_net *n, unsigned pair, bool notified)
{
	if (notified ? virtio_net_notified(n, pair) : virtio_net_transmit(n, pair))
		host_timer_set(&n->later, VIRTIO_NET_PAUSE_NS);
}

static void transmit_all(struct virtio_net *n)
{
	for (unsigned i = 0; i < n->pairs; i++)
		if (2 * i + 1 != virtio_net_control_queue(n) && n->queue[2 * i + 1].s.enabled)
			transmit(n, i, false);
}

static void net_start(struct virtio_device *d)
{
	struct virtio_net *n = virtio_net_of(d);

	// Notifications about buffers are not wanted as long as nobody waits for any.
	for (unsigned i = 0; i < n->pairs; i++)
		if (!n->starved[i] && 2 * i != virtio_net_control_queue(n))
			virtqueue_set_kicks(&n->queue[2 * i], false);
	if (has_control(n))
		virtio_net_control(n);
	transmit_all(n);
	host_net_room(n->net);
}

static void paces_reset(struct virtio_net *n)
{
	for (unsigned i = 0; i < n->pairs; i++)
		for (unsigned k = 0; k < ARRAY_SIZE(n->pace[i]); k++)
			virtio_pace_reset(&n->pace[i][k], VIRTIO_NET_GOAL, VIRTIO_NET_TRIAL);
}

static void net_reset(struct virtio_device *d)
{
	struct virtio_net *n = virtio_net_of(d);

	host_timer_cancel(&n->later);
	host_timer_cancel(&n->tell);
	host_timer_cancel(&n->look);
	host_net_rest(n->net, false);
	memset(n->paced, 0, sizeof(n->paced));
	paces_reset(n);
	n->active_pairs = 1;
	memset(n->held, 0, sizeof(n->held));
	memset(n->starved, 0, sizeof(n->starved));
	memset(n->flow, 0, sizeof(n->flow));
	n->ahead.chains = n->last_pair = 0;
	virtio_net_filter_reset(n);
	host_net_room(n->net); // what waits there goes nowhere now
}

static void buffers_came(struct virtio_net *n, unsigned pair)
{
	if (!n->starved[pair])
		return;
	n->starved[pair] = false;
	virtqueue_set_kicks(&n->queue[2 * pair], false);
	host_net_room(n->net);
}

static void net_notify(struct virtio_device *d, unsigned queue)
{
	struct virtio_net *n = virtio_net_of(d);

	if (has_control(n) && queue == virtio_net_control_queue(n))
		virtio_net_control(n);
	else if (queue / 2 >= n->pairs)
		return;
	else if (queue % 2)
		transmit(n, queue / 2, true);
	else
		buffers_came(n, queue / 2);
}

static void config_read(struct virtio_device *d, u32 offset, void *to, u32 size)
{
	struct virtio_net *n = virtio_net_of(d);
	struct config c = {
		.status = n->link ? STATUS_LINK_UP : 0, .max_pairs = n->pairs, .mtu = NET_MTU};

	memcpy(c.addr, n->addr, NET_ADDR);
	memcpy(to, (const u8 *)&c + offset, size);
}

// Nothing in it is the driver's to write.
static void config_write(struct virtio_device *d, u32 offset, const void *from, u32 size)
{
	(void)d;
	(void)offset;
	(void)from;
	(void)size;
}

static const struct virtio_device_ops net_ops = {
	.type = VIRTIO_TYPE_NET,
	.pci_class = 0x020000, // Ethernet controller
	.config_size = sizeof(struct config),
	.start = net_start,
	.reset = net_reset,
	.notify = net_notify,
	.config_read = config_read,
	.config_write = config_write,
};

static void net_later(struct host_timer *t)
{
	struct virtio_net *n = container_of(t, struct virtio_net, later);

	if (!virtio_running(&n->dev))
		return;
	transmit_all(n);
	virtio_check(&n->dev);
}

static void net_tell(struct host_timer *t)
{
	struct virtio_net *n = container_of(t, struct virtio_net, tell);

	if (!virtio_running(&n->dev))
		return;
	if (n->sends != n->sends_seen) {
		n->sends_seen = n->sends;
		host_timer_set(&n->tell, VIRTIO_NET_TELL_NS);
		return;
	}
	virtio_net_tell(n);
	virtio_check(&n->dev);
}

static void look(struct virtio_net *n, bool sleeps)
{
	u32 found;

	if (!virtio_running(&n->dev))
		return;
	found = virtio_net_look(n, sleeps);
	for (unsigned i = 0; i < n->pairs; i++)
		if (found >> i & 1)
			transmit(n, i, false);
	virtio_check(&n->dev);
}

static void net_look(struct host_timer *t)
{
	look(container_of(t, struct virtio_net, look), false);
}

void virtio_net_rest(struct virtio_net *n)
{
	look(n, true);
}

void virtio_net_set_link(struct virtio_net *n, bool up)
{
	if (n->link == up)
		return;
	n->link = up;
	if (n->dev.accepted & VIRTIO_NET_F_STATUS)
		virtio_config_changed(&n->dev);
	host_net_room(n->net);
}

void virtio_net_init(struct virtio_net *n, struct host *h, struct host_net *net,
	const u8 addr[NET_ADDR], unsigned pairs)
{
	memset(n, 0, sizeof(*n));
	n->net = net;
	n->pairs = (u16)MAX(1u, MIN(pairs, VIRTIO_NET_PAIRS));
	n->active_pairs = 1;
	n->link = true;
	memcpy(n->addr, addr, NET_ADDR);
	virtio_net_filter_reset(n);
	paces_reset(n);
	n->dev.ops = &net_ops;
	n->dev.host = h;
	n->dev.queue = n->queue;
	n->dev.queues = (u16)(2 * n->pairs + 1);
	n->dev.queue_size = VIRTIO_NET_QUEUE;
	n->dev.offered = FEATURES | (n->pairs > 1 ? VIRTIO_NET_F_MQ : 0);
	virtio_init(&n->dev);
	host_timer_init(h, &n->later, net_later);
	host_timer_init(h, &n->tell, net_tell);
	host_timer_init(h, &n->look, net_look);
}

void virtio_net_destroy(struct virtio_net *n)
{
	host_timer_destroy(&n->later);
	host_timer_destroy(&n->tell);
	host_timer_destroy(&n->look);
}

// ---------------------------------------------------------------- save and restore

void virtio_net_save(const struct virtio_net *n, struct virtio_net_state *s)
{
	memset(s, 0, sizeof(*s));
	virtio_save(&n->dev, &s->virtio, s->queue);
	s->active_pairs = n->active_pairs;
	s->link = n->link;
	s->filter = n->filter;
}

static bool filter_valid(const struct virtio_net_filter *f)
{
	return !((f->promisc | f->allmulti | f->alluni | f->nomulti | f->nouni | f->nobcast) &
		       0xfe) &&
	       f->addrs[0] <= VIRTIO_NET_ADDRS + 1 && f->addrs[1] <= VIRTIO_NET_ADDRS + 1;
}

static bool pairs_valid(const struct virtio_net *n, u16 active, u64 accepted)
{
	return active == 1 || (active && active <= n->pairs && accepted & VIRTIO_NET_F_MQ);
}

bool virtio_net_load(struct virtio_net *n, const struct virtio_net_state *s)
{
	if (!pairs_valid(n, s->active_pairs, s->virtio.accepted) || s->link > 1 ||
		!filter_valid(&s->filter) || !virtio_load(&n->dev, &s->virtio, s->queue))
		return false;
	n->active_pairs = s->active_pairs;
	n->link = s->link;
	n->filter = s->filter;
	return true;
}

// Who is killed in the middle leaves what was valid before; the command, whose chain is not given back yet, is done again.
void virtio_net_keep(struct virtio_net *n)
{
	struct virtio_net_kept *k = n->kept;
	u32 other;

	if (!k)
		return;
	other = ~k->valid & 1;
	k->set[other].active_pairs = n->active_pairs;
	k->set[other].filter = n->filter;
	compiler_barrier();
	WRITE_ONCE(k->valid, other);
	compiler_barrier();
}

// What is kept belongs to this life of the device from now on, and is what a reset leaves if it did not before.
static void kept_begin(struct virtio_net *n, struct virtio_net_kept *k, u32 life)
{
	n->kept = k;
	if (k->life == life && k->set[k->valid & 1].active_pairs)
		return;
	k->valid &= 1;
	virtio_net_keep(n);
	WRITE_ONCE(k->life, life);
	compiler_barrier();
}

// A device just reset has the setting that a reset leaves.
bool virtio_net_resume(struct virtio_net *n, const struct virtio_state *s,
	const struct virtqueue_state *queue, struct virtqueue_log *log,
	struct virtio_net_kept *kept, u32 life)
{
	struct virtio_net_set set;

	kept_begin(n, kept, life);
	set = kept->set[kept->valid & 1];
	if (!pairs_valid(n, set.active_pairs, s->accepted) || !filter_valid(&set.filter) ||
		!virtio_resume(&n->dev, s, queue, log, life))
		return false;
	n->active_pairs = set.active_pairs;
	n->filter = set.filter;
	return true;
}
