// SPDX-License-Identifier: MIT
// A network card in the boot bundle's words (abi/bundle.h): SWITCH VLAN MAC STORM RATE [UPLINK [follow]].
#pragma once

#include "abi/bundle.h"
#include "net/switch.h"

struct net_card_config {
	char name[BUNDLE_NAME_MAX + 1]; // of the switch
	u8 addr[NET_ADDR];
	char uplink[BUNDLE_UPLINK_MAX + 1]; // of the switch: a card of the machine; empty: none
	bool follow;                        // its link is that of the uplink
	u8 vlans[(NET_VLANS + 7) / 8];      // of a trunk with a list, which port.vlans names
	struct net_port_config port;        // locked to the address
};

// NULL, or what was expected.
const char *net_card_parse(struct net_card_config *c, const char *text);
