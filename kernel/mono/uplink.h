// SPDX-License-Identifier: MIT
// Network cards of the machine as ports of virtual switches, which lead to the physical network. A card is the uplink
// of one switch at a time. Frames from the switch are copied into the card's buffers (drivers/net.h); packets that
// come are given to the switch in the turns of the card's CPU.
#pragma once

#include "drivers/net.h"
#include "net/switch.h"

struct nic_switch;

// Makes the card of this name a port of s, if it is not yet one. NULL, or why not. LOCK_NIC may be held.
const char *uplink_attach(struct nic_switch *s, const char *card, u64 storm);

// Has the card of this name a link now?
bool uplink_has_link(const char *card);

// The switch goes: it has no uplink any more when this returns. LOCK_NIC may be held.
void uplink_detach(struct nic_switch *s);
