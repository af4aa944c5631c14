// SPDX-License-Identifier: MIT
// The virtual switches of the mono kernel: there while cards are on them.
#pragma once

#include "net/config.h"

struct nic_switch;

// The card's switch, made if it is not there, with the uplink that the card's line names; a reference for the port
// that is put to it. NULL, or why there is none. No lock held.
const char *nic_switch_get(const struct net_card_config *c, struct nic_switch **out);

// As net_switch_attach.
int nic_switch_attach(struct nic_switch *s, struct net_port *p);

// Takes the port off, if it is on. Locks below LOCK_NET may be held.
void nic_switch_detach(struct nic_switch *s, struct net_port *p);

// Takes the port off, if it is on, and gives the reference back. No lock held.
void nic_switch_put(struct nic_switch *s, struct net_port *p);

// A frame from the port. Locks below LOCK_NET may be held.
void nic_switch_input(struct nic_switch *s, struct net_port *p, const struct net_frame *f);
