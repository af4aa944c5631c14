// SPDX-License-Identifier: MIT
// What the mono model asks of the disks of its VMs.
#pragma once

#include "lib/types.h"

struct vm;

// NULL, or why not; what was made goes with disks_destroy. No lock held.
const char *disks_create(struct vm *vm);

// Calls back what is in flight. True: nothing is; false: WORK_REAP is posted when that is so. Takes vm->lock.
bool disks_quiet(struct vm *vm);

// Quiet, or the VM never ran. No lock held.
void disks_destroy(struct vm *vm);
