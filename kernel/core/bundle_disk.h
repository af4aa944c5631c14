// SPDX-License-Identifier: MIT
// The `disk` lines of the boot bundle, for a model that gives disks. Portable; believes nothing.
#pragma once

#include "kernel/core/bundle.h"
#include "kernel/core/disk_line.h"

struct bundle_disk {
	enum bundle_disk_mode mode;
	struct bundle_file image;           // data NULL: it is a device of the machine
	char device[BUNDLE_DEVICE_MAX + 1]; // its name or PARTUUID
};

// The index of the n-th disk in vm->io, from 0; -1: it has not so many.
int bundle_disk_line(const struct bundle_vm *vm, unsigned n);

// What vm->io[line], a disk, says. false: *why tells what was expected. An image that may be written is a member of the
// archive that no other line of any VM names.
bool bundle_disk_parse(
	const struct bundle_vm *vm, unsigned line, struct bundle_disk *out, const char **why);
