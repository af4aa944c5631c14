// SPDX-License-Identifier: MIT
// The virtual devices that a VM's definition asks for: its lines, read, with their places on the PCI bus. The same as in mono,
// so that a guest sees the same machine under both models.
#pragma once

#include "abi/hypercall.h"
#include "kernel/core/disk_line.h"
#include "net/config.h"

#define PLAN_DISK_SLOT 2u  // of the first disk
#define PLAN_RNG_SLOT  10u // of the source of random bytes, which each VM has
#define PLAN_CARD_SLOT 16u // of the first network card

struct plan {
	unsigned disks, cards;
	unsigned disk_queues, card_pairs; // of each
	struct {
		unsigned line; // among all of the VM's
		struct disk_line what;
	} disk[BUNDLE_MAX_DISKS];
	struct net_card_config card[BUNDLE_MAX_NICS];
	char vars[BUNDLE_DEVICE_MAX + 1]; // keeps the firmware's variables; empty: nothing does
};

void plan_init(struct plan *p, unsigned vcpus);

// The n-th line, of whatever kind. NULL, or what was expected.
const char *plan_add(struct plan *p, unsigned n, const char *text);
