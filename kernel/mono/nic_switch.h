// SPDX-License-Identifier: MIT
// The virtual switches of the mono kernel: there while cards are on them.
#pragma once

#include "net/switch.h"

struct nic_switch;

// The switch of this name, made if it is not there; a reference for the port that is put to it. NULL: no memory, or
// too many switches. No lock held.
struct nic_switch *nic_switch_get(const char *name);

// As net_switch_attach.
int nic_switch_attach(struct nic_switch *s, struct net_port *p);

// Takes the port off, if it is on, and gives the reference back. No lock held.
void nic_switch_put(struct nic_switch *s, struct net_port *p);

// A frame from the port. Locks below LOCK_NET may be held.
void nic_switch_input(struct nic_switch *s, struct net_port *p, const struct net_frame *f);
