// SPDX-License-Identifier: MIT
// What stands behind a virtual network card in a process: a tap of the root VM's kernel, and before it a switch of two ports that
// holds the card to its own address, its VLANs and its rates (net/switch.h), as mono's switches do.
//
//	card -> switch -> tap (a port of a Linux bridge, which has the VLANs of the machine)
//
// An access card is in the untagged network here: its VLAN is the bridge's affair. A trunk card has the tags of its VLANs.
#pragma once

#include "devices/host_linux/host_linux.h"
#include "devices/virtio_net.h"
#include "net/config.h"

// To prepare for a long frame costs a short one more. So one is expected among so many that follow one of so many bytes.
#define HOST_NET_LARGE  8192u
#define HOST_NET_EXPECT 4u
#define HOST_NET_BATCH  64u // frames taken from the tap in one call

struct host_net {
	struct host *host;
	int tap;
	struct virtio_net *card;
	struct net_switch sw;
	struct net_port inner, outer; // the card's and the tap's
	u8 vlans[(NET_VLANS + 7) / 8];
	u64 *rest,
		rest_bit; // where the kernel is asked to tell when the guest sleeps; NULL: nowhere
	bool told;        // the guest was given frames and not told of them yet
	bool full;        // `waiting` waits for buffers of the guest
	bool room;        // which may have come
	u32 packet;       // packets of it that were taken already
	u32 large;        // frames among which a long one is expected
	bool direct;      // nothing comes that the guest may not see: it is read into its memory
	const struct net_frame *placed; // what was read so and is on its way; NULL: nothing
	struct net_frame waiting;       // its segments name `frame`
	struct net_segment seg;
	u8 frame[NET_FRAME_MAX];
};

// Makes the tap the card's, which becomes the port's: an open file that has been given a tap with IFF_TAP, IFF_NO_PI and
// IFF_VNET_HDR. NULL: *why tells, and the file stays the caller's.
struct host_net *host_net_create(
	struct host *h, int tap, const struct net_card_config *c, const char **why);
void host_net_destroy(struct host_net *n);

// The word in which a bit asks the kernel to ring when the guest sleeps (struct mezz_bells).
static inline void host_net_set_rest(struct host_net *n, u64 *word, u64 bit)
{
	n->rest = word;
	n->rest_bit = bit;
}

// host_linux_filter.c: has the tap's kernel drop what the card's port would drop, by whom it is for and by its tag. false: it cannot.
bool host_net_filter(int tap, const struct net_port_config *c);

// Before anything comes.
static inline void host_net_set_card(struct host_net *n, struct virtio_net *card)
{
	n->card = card;
}

// Frames may wait in the tap: some of them to the guest. While n->full the tap is left alone.
void host_net_receive(struct host_net *n);

// Offers what waited again if there may be room. At the end of each turn of the loop.
void host_net_try_again(struct host_net *n);
