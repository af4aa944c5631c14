// SPDX-License-Identifier: MIT
// The firmware of a VM: what it is told of the machine, and its variables, which the back-end keeps on a disk or partition of the
// root VM (storage/twin.h). The chip is the kernel's, and its contents are in an area that is shared (struct mezz_firmware).
//
// A moment after the last change, and at the latest after some seconds of changes, the chip as it is then is written as one generation.
// That is waited for: the VM's other devices stand still meanwhile.
#pragma once

#include "abi/hypercall.h"
#include "devices/host.h"

struct keeper; // of variables

// Writes what the VM's firmware asks fw_cfg for, before the VM starts. low: the guest's memory [0, 1 MiB). NULL, or why not.
const char *firmware_tell(struct mezz_firmware *area, const struct mezz_vm *vm, const u8 *low,
	u64 ram_low, u64 ram_high);

// Keeps the variables of the area on the file, which is the keeper's if one is made. first: the VM has not started yet: it gets what the
// file holds. NULL: *why.
// bell: mezz_bells.vars, which rings again once it has been taken. saved() is called each time the file has the variables, or failed to take
// them.
struct keeper *keeper_create(struct host *h, struct mezz_firmware *area, u64 *bell, int fd,
	bool first, void (*saved)(void *arg), void *arg, const char **why);
void keeper_destroy(struct keeper *k);

// The bell has rung.
void keeper_changed(struct keeper *k);

// The VM has ended: writes what was not written yet.
void keeper_end(struct keeper *k);
