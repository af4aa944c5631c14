// SPDX-License-Identifier: MIT
// Frames between a virtual network card and a tap. What a sender left to the network card is told in the same words on both
// sides (struct virtio_net_hdr), so it goes on as it is, checked.
#include "devices/host_linux/host_linux_net.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIECES (VIRTIO_NET_PIECES + 2u) // of a frame for the tap: header, head, segments

// struct virtio_net_hdr, without the number of buffers that a tap does not tell.
_Static_assert(sizeof(struct net_offload) == 10 && offsetof(struct net_offload, csum_start) == 6,
	"layout of the standard");

// ---------------------------------------------------------------- to the tap

void host_net_send(struct host_net *n, const struct net_frame *f)
{
	net_switch_input(&n->inner, f, host_linux_now());
}

// A tap that is down, or full, drops.
static bool tap_deliver(struct net_port *p, const struct net_frame *f)
{
	struct host_net *n = container_of(p, struct host_net, outer);
	struct net_offload offload = f->offload;
	struct iovec v[PIECES] = {
		{&offload, sizeof(offload)}, {(void *)(uintptr_t)f->head, f->head_len}};
	ssize_t done;

	if (f->segs > PIECES - 2)
		return false;
	for (u32 i = 0; i < f->segs; i++)
		v[i + 2] = (struct iovec){(void *)(uintptr_t)f->seg[i].at, f->seg[i].len};
	do
		done = writev(n->tap, v, (int)f->segs + 2);
	while (done < 0 && errno == EINTR);
	return done == (ssize_t)(sizeof(offload) + f->length);
}

// ---------------------------------------------------------------- from the tap

static bool card_deliver(struct net_port *p, const struct net_frame *f)
{
	struct host_net *n = container_of(p, struct host_net, inner);

	n->packet = 0;
	n->told = true;
	n->full = virtio_net_receive(n->card, f, &n->packet) == VIRTIO_NET_FULL;
	if (n->full) {
		n->waiting = *f;
		n->room = false;
	}
	return true;
}

// DATA_VALID says of a frame's sums that they were looked at; it asks for nothing.
static bool offload_check(struct net_frame *f)
{
	u8 valid = f->offload.flags & NET_DATA_VALID;

	f->offload.flags &= NET_NEEDS_CSUM;
	if (!net_offload_check(f))
		return false;
	if (!f->offload.flags)
		f->offload.flags = valid;
	return true;
}

// The next frame in n->frame; false: there is none.
static bool tap_read(struct host_net *n, struct net_frame *f)
{
	struct iovec v[2] = {{&f->offload, sizeof(f->offload)}, {n->frame, sizeof(n->frame)}};
	ssize_t len = readv(n->tap, v, 2);

	if (len < (ssize_t)sizeof(f->offload))
		return false;
	f->length = (u32)len - (u32)sizeof(f->offload);
	f->head_len = MIN(f->length, NET_HEAD);
	memcpy(f->head, n->frame, f->head_len);
	n->seg = (struct net_segment){n->frame + f->head_len, f->length - f->head_len};
	f->seg = &n->seg;
	f->segs = 1;
	return true;
}

void host_net_receive(struct host_net *n)
{
	struct net_frame f;

	for (unsigned i = 0; i < HOST_NET_BATCH && !n->full && tap_read(n, &f); i++)
		if (offload_check(&f))
			net_switch_input(&n->outer, &f, host_linux_now());
		else
			n->outer.count.drop[NET_DROP_BAD]++;
	if (n->told)
		virtio_net_receive_end(n->card);
	n->told = false;
}

void host_net_room(struct host_net *n)
{
	n->room = true;
}

void host_net_try_again(struct host_net *n)
{
	if (!n->full || !n->room)
		return;
	n->room = false;
	n->full = virtio_net_receive(n->card, &n->waiting, &n->packet) == VIRTIO_NET_FULL;
	virtio_net_receive_end(n->card);
}

// ---------------------------------------------------------------- life

static bool tap_prepare(int tap)
{
	int size = sizeof(struct net_offload);
	unsigned long offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

	// The device does in software what its guest's driver cannot, so all are wanted, whatever that is.
	return !ioctl(tap, TUNSETVNETHDRSZ, &size) && !ioctl(tap, TUNSETOFFLOAD, offloads);
}

static void ports_attach(struct host_net *n, const struct net_card_config *c)
{
	n->inner.config = c->port;
	n->inner.config.vlan = 0;
	if (c->port.vlans) {
		memcpy(n->vlans, c->vlans, sizeof(n->vlans));
		n->inner.config.vlans = n->vlans;
	}
	n->inner.deliver = card_deliver;
	n->inner.name = "card";
	n->outer.config = (struct net_port_config){.trunk = true, .uplink = true};
	n->outer.deliver = tap_deliver;
	n->outer.name = "tap";
}

struct host_net *host_net_create(
	struct host *h, int tap, const struct net_card_config *c, const char **why)
{
	struct host_net *n = calloc(1, sizeof(*n));
	u64 seed, now = host_linux_now();

	*why = "out of memory";
	if (!n)
		return NULL;
	n->host = h;
	n->tap = tap;
	host_random(h, &seed, sizeof(seed));
	net_switch_init(&n->sw, seed);
	ports_attach(n, c);
	*why = net_switch_attach(&n->sw, &n->inner, now) ||
			       net_switch_attach(&n->sw, &n->outer, now)
		       ? "no such port"
	       : tap_prepare(tap) ? NULL
				  : "its tap does not take offloads";
	if (!*why)
		return n;
	free(n);
	return NULL;
}

void host_net_destroy(struct host_net *n)
{
	close(n->tap);
	free(n);
}
