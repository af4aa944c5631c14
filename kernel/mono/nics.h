// SPDX-License-Identifier: MIT
// What the mono model asks of the network cards of its VMs.
#pragma once

struct vm;

// NULL, or why not; what was made goes with nics_destroy. No lock held.
const char *nics_create(struct vm *vm);
void nics_destroy(struct vm *vm);

// Moves what this CPU has posted from inboxes to guests. No lock held.
void nics_work(void);

// For model_init: the key that shows switches.
void nics_init(void);
