// SPDX-License-Identifier: MIT
// VMs that start from firmware: their flash chip, and the area (struct mezz_firmware) that they share with their back-end.
//
// The chip and fw_cfg are the kernel's, so no vcpu waits for a process. What fw_cfg says is written by the back-end before the VM
// starts, and the back-end keeps the chip's contents where they outlive the VM.
#pragma once

#include "abi/hypercall.h"
#include "kernel/vm/lpc.h"
#include "kernel/vm/vm.h"

// Of a VM.
struct firmware {
	struct lpc lpc;
	struct vflash flash;        // if it has one
	struct mezz_firmware *area; // 2 MiB, which the back-end writes to
	u64 changes;                // v: of the variables, so far
};

// NULL, or why it cannot be; *f is NULL if the VM has no firmware. Its memory is there.
const char *firmware_create(struct vm *vm, struct firmware **f);
void firmware_destroy(struct firmware *f);

// Whoever keeps the variables has all that were set. vm->lock held.
static inline bool firmware_saved(const struct firmware *f)
{
	return !READ_ONCE(f->area->kept) || READ_ONCE(f->area->saved) == f->changes;
}
