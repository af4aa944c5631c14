// SPDX-License-Identifier: MIT
// What the mono model asks of the network cards of its VMs.
#pragma once

struct vm;
struct net_frame;
struct nic_switch;

// NULL, or why not; what was made goes with nics_destroy. No lock held.
const char *nics_create(struct vm *vm);
void nics_destroy(struct vm *vm);

// Moves what this CPU has posted from inboxes to guests. No lock held.
void nics_work(void);

// A card of the machine has taken a frame that a switch gave it, perhaps one that a guest is sending just now.
void nics_sent_outside(const struct net_frame *f);

// The link of a switch's uplink has gone down or come up: tells the cards that follow it. No lock held.
void nics_link_changed(const struct nic_switch *s);

// For model_init: the key that shows switches.
void nics_init(void);
