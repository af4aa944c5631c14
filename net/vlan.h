// SPDX-License-Identifier: MIT
// VLANs at a port of the switch: to which one a frame belongs, and its 802.1Q tag (IEEE 802.1Q-2018, clause 9).
#pragma once

#include "net/switch.h"

bool net_vlan_member(const struct net_port_config *c, u16 vlan);

// Do frames of a VLAN that the port is a member of carry a tag there?
bool net_vlan_tagged(const struct net_port_config *c, u16 vlan);

// The frame (of NET_ETHERNET bytes at least) without a tag: f itself, or made in *space; and its VLAN. NULL: the port
// may not send such a frame.
const struct net_frame *net_vlan_classify(const struct net_port_config *c,
	const struct net_frame *f, struct net_frame *space, u16 *vlan);

// Of a frame without a tag, whose head has NET_HEAD bytes at most. Offsets in its offload move along.
void net_tag_insert(struct net_frame *f, u16 vlan);
