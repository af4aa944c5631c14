// SPDX-License-Identifier: MIT
// A switch as a bridge of Linux: VLANs, and who hears what, as with the switch of mono (docs/networks.md).
//
// A bridge knows VLANs 1 to 4094 and no untagged network. So that network is VLAN 4094 inside it, without a tag at every port;
// a card cannot have that VLAN. Ports and the bridge itself belong to no VLAN until they are given some.
// Source: Linux 6.1, include/uapi/linux/if_bridge.h and if_link.h; bridge(8).
#pragma once

#include "mezzd/link.h"
#include "net/config.h"

#define BRIDGE_UNTAGGED 4094u // the VLAN that stands for frames without a tag

// "mz-SWITCH", or, where that is too long, "mz_", the name's begin, and a hash of it: hardly another switch has it, and the alias
// tells if one has.
void bridge_name(char name[IF_NAMESIZE], const char *sw);

// What Linux keeps with the bridge when it is complete: whose it is.
void bridge_alias(char alias[LINK_ALIAS], const char *sw);

// Is it a bridge of this program's, by its name?
bool bridge_is_ours(const struct link *l);

// Those below return 0 or -errno.

// vlans: it keeps VLANs apart. -EOPNOTSUPP: the kernel cannot.
int bridge_make(const char *name, bool vlans);

// The bridge's own port, by which the root VM is in the untagged network.
int bridge_join_self(int bridge);

// A port that leads to a physical network: all VLANs.
int bridge_port_uplink(int port);

// A card's port: its VLANs (if `vlans`), no unknown stations behind it, and nobody else has its address.
int bridge_port_card(int port, const struct net_card_config *c, bool vlans);
