// SPDX-License-Identifier: MIT
// The files behind a VM's disks, opened while the process may.
#pragma once

#include "backend/link.h"
#include "kernel/core/disk_line.h"

// The functions return an open file, or -1 after a message that begins with `what` it is for, or "disk N".

// A disk or partition of the root VM, by its name in /dev or its PARTUUID. One that is written is nobody else's: it is refused when
// it is mounted, or used otherwise; *busy: just that.
int disk_open_device(const char *what, const char *device, bool write, bool *busy);

// Finds a disk's or partition's name in /dev (`size` bytes) by its PARTUUID. false: there is none such.
bool disk_find(const char *partuuid, char *name, size_t size);

// The VM's copy of an image of the boot bundle, a file in the folder `run`, which is made if need be: once, by the first back-end,
// for a disk rw or ro; at the VM's every start for a snapshot.
int disk_open_image(struct link *l, const char *run, const char *vm, unsigned number, unsigned line,
	const struct disk_line *d, bool waiting);
