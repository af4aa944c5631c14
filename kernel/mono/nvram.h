// SPDX-License-Identifier: MIT
// The variable store of a VM's firmware: a flash chip in the place that the firmware's image gives it, and perhaps its copy on
// a disk of the machine.
//
// A store with a copy stays in memory from one life of its
// VM to the next (`repeat`), as a disk can be waited for at start only.
#pragma once

#include "lib/types.h"

struct vflash;
struct vm;

// What the VM's lines in the bundle and its firmware, if it has one, ask for. NULL, or why not; what was made goes with
// nvram_destroy. No lock held.
const char *nvram_create(struct vm *vm);

// The chip, in its place and as after a reset; NULL: the VM has none. Before its vcpus run.
struct vflash *nvram_start(struct vm *vm);

// Nothing changes the chip any more. True: its copy is on the disk. False: WORK_REAP is posted when that is so. Takes vm->lock.
bool nvram_quiet(struct vm *vm);

// Quiet, or the VM never ran. No lock held.
void nvram_destroy(struct vm *vm);
