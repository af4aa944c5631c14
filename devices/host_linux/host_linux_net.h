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

#define HOST_NET_BATCH 64u // frames taken from the tap in one call

struct host_net {
	struct host *host;
	int tap;
	struct virtio_net *card;
	struct net_switch sw;
	struct net_port inner, outer; // the card's and the tap's
	u8 vlans[(NET_VLANS + 7) / 8];
	bool told;                // the guest was given frames and not told of them yet
	bool full;                // `waiting` waits for buffers of the guest
	bool room;                // which may have come
	u32 packet;               // packets of it that were taken already
	struct net_frame waiting; // its segments name `frame`
	struct net_segment seg;
	u8 frame[NET_FRAME_MAX];
};

// Makes the tap the card's, which becomes the port's: an open file that has been given a tap with IFF_TAP, IFF_NO_PI and
// IFF_VNET_HDR. NULL: *why tells, and the file stays the caller's.
struct host_net *host_net_create(
	struct host *h, int tap, const struct net_card_config *c, const char **why);
void host_net_destroy(struct host_net *n);

// Before anything comes.
static inline void host_net_set_card(struct host_net *n, struct virtio_net *card)
{
	n->card = card;
}

// Frames may wait in the tap: some of them to the guest. While n->full the tap is left alone.
void host_net_receive(struct host_net *n);

// Offers what waited again if there may be room. At the end of each turn of the loop.
void host_net_try_again(struct host_net *n);
