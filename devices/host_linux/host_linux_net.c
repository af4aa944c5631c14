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

static bool offload_check(struct net_frame *f);

// What lies in the guest's memory, as a frame in ours. false: it is not good (any more).
static bool placed_copy(struct host_net *n, const struct net_frame *f, struct net_frame *copy)
{
	u32 rest = f->length - f->head_len;

	if (!net_frame_read(f, f->head_len, n->frame, rest))
		return false;
	*copy = *f;
	n->seg = (struct net_segment){n->frame, rest};
	copy->seg = &n->seg;
	copy->segs = 1;
	return offload_check(copy);
}

static bool card_deliver(struct net_port *p, const struct net_frame *f)
{
	struct host_net *n = container_of(p, struct host_net, inner);
	struct net_frame copy;

	n->packet = 0;
	n->told = true;
	if (n->placed == f && virtio_net_receive_placed(n->card, f))
		return true;
	if (n->placed) {
		if (!placed_copy(n, f, &copy))
			return true;
		f = &copy;
	}
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

// The same, read into the guest's memory, but for its head, on which the switch decides. seg: what the frame names then.
static bool tap_read_placed(struct host_net *n, struct net_frame *f, u32 pieces,
	const struct virtio_net_piece *piece, struct net_segment *seg)
{
	struct iovec v[2 + VIRTIO_NET_PLACES] = {
		{&f->offload, sizeof(f->offload)}, {f->head, NET_HEAD}};
	ssize_t len;
	u32 left;

	for (u32 i = 0; i < pieces; i++)
		v[i + 2] = (struct iovec){piece[i].at, piece[i].len};
	len = readv(n->tap, v, (int)pieces + 2);
	if (len < (ssize_t)sizeof(f->offload))
		return false;
	f->length = (u32)len - (u32)sizeof(f->offload);
	f->head_len = MIN(f->length, NET_HEAD);
	f->seg = seg;
	f->segs = 0;
	for (left = f->length - f->head_len; left && f->segs < pieces; f->segs++) {
		seg[f->segs] =
			(struct net_segment){piece[f->segs].at, MIN(left, piece[f->segs].len)};
		left -= seg[f->segs].len;
	}
	return !left;
}

static bool frame_read(struct host_net *n, struct net_frame *f, struct net_segment *seg)
{
	struct virtio_net_piece piece[VIRTIO_NET_PLACES];
	u32 pieces = n->direct && n->large ? virtio_net_place(n->card, piece) : 0;

	bool read;

	n->placed = pieces ? f : NULL;
	read = pieces ? tap_read_placed(n, f, pieces, piece, seg) : tap_read(n, f);
	if (read && f->length >= HOST_NET_LARGE)
		n->large = HOST_NET_EXPECT;
	else if (read && n->large)
		n->large--;
	return read;
}

void host_net_receive(struct host_net *n)
{
	struct net_segment seg[VIRTIO_NET_PLACES];
	struct net_frame f;

	for (unsigned i = 0; i < HOST_NET_BATCH && !n->full && frame_read(n, &f, seg); i++)
		if (offload_check(&f))
			net_switch_input(&n->outer, &f, host_linux_now());
		else
			n->outer.count.drop[NET_DROP_BAD]++;
	n->placed = NULL;
	if (n->told)
		virtio_net_receive_end(n->card);
	n->told = false;
}

bool host_net_rest(struct host_net *n, bool on)
{
	if (!n->rest)
		return false;
	if (on)
		atomic_or(n->rest, n->rest_bit);
	else
		atomic_and(n->rest, ~n->rest_bit);
	return true;
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

// What came before the filter is not for every guest's eyes.
static void tap_empty(struct host_net *n)
{
	for (unsigned i = 0; i < 16 * HOST_NET_BATCH; i++)
		if (read(n->tap, n->frame, sizeof(n->frame)) <= 0)
			return;
	n->direct = false;
}

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
	if (!*why) {
		n->direct = host_net_filter(tap, &n->inner.config);
		if (n->direct)
			tap_empty(n);
		return n;
	}
	free(n);
	return NULL;
}

void host_net_destroy(struct host_net *n)
{
	close(n->tap);
	free(n);
}
