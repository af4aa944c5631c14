// SPDX-License-Identifier: MIT
// Disks and network cards of the emulated machine: the options that name them, and QEMU's words for them.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/words.h"

#define HARDWARE_DISKS_MAX    16
#define HARDWARE_NICS_MAX     8
#define HARDWARE_FORWARDS_MAX 16
#define HARDWARE_ADDRESS_MAX  15 // 255.255.255.255

// Starts as all zero. Texts are the command line's.
struct hardware {
	struct {
		const char *device; // QEMU's
		const char *file;
	} disks[HARDWARE_DISKS_MAX];
	unsigned disk_count;
	bool snapshot; // what is written to the disks is forgotten at the end

	const char *nics[HARDWARE_NICS_MAX]; // QEMU's device of each
	unsigned nic_count;
	struct {
		unsigned port; // of this machine, at 127.0.0.1
		char to[HARDWARE_ADDRESS_MAX + 1];
		unsigned to_port;
	} forwards[HARDWARE_FORWARDS_MAX];
	unsigned forward_count;
};

// The values of --disk ([KIND:]FILE), --nic (KIND) and --forward (PORT:ADDRESS:PORT). Each returns what was expected,
// or NULL when the value was right.
const char *hardware_add_disk(struct hardware *h, const char *value);
const char *hardware_add_nic(struct hardware *h, const char *value);
const char *hardware_add_forward(struct hardware *h, const char *value);

void hardware_words(const struct hardware *h, struct words *w);
