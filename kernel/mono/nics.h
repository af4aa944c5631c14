// SPDX-License-Identifier: MIT
// What the mono model asks of the network cards of its VMs.
#pragma once

struct vm;
struct nic_switch;

// NULL, or why not; what was made goes with nics_destroy. No lock held.
const char *nics_create(struct vm *vm);
void nics_destroy(struct vm *vm);

// Moves what this CPU has posted from inboxes to guests. No lock held.
void nics_work(void);

// The link of a switch's uplink has gone down or come up: tells the cards that follow it. No lock held.
void nics_link_changed(const struct nic_switch *s);

// For model_init: the key that shows switches.
void nics_init(void);
