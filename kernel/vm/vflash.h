// SPDX-License-Identifier: MIT
// The flash chip that keeps the variables of a VM's firmware, in the guest's memory.
//
// While the chip reads as its array the guest reads it without an exit.
#pragma once

#include "devices/pflash.h"

struct vm;

struct vflash {
	struct pflash chip;
	struct vm *vm; // whose lock guards it
	u8 *data;      // pages of the owner's
	u32 size;
	u64 at;                                                   // guest-physical
	void (*changed)(struct vflash *f, u32 offset, u32 bytes); // vm->lock held
};

// Where the variables are that the VM's firmware begins with, if it is firmware; 0: it has none. NULL, or what is wrong with it.
const char *vflash_look(const struct vm *vm, u32 *size);

// The chip with data[size], which the template in the image is copied to.
void vflash_init(struct vflash *f, struct vm *vm, u8 *data, u32 size);

// Before the VM's vcpus run: as after a reset, and with the template if its headers are damaged. No lock held.
void vflash_start(struct vflash *f);

// No vcpu runs any more, and none will: before gmap_destroy.
void vflash_stop(struct vflash *f);
