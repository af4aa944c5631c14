// SPDX-License-Identifier: MIT
// A VM's console: what its UART and its virtio console say, and what is typed for it.
#pragma once

#include "lib/types.h"

struct vm;

// Bytes typed for a VM wait here when its devices have no room.
#define VM_INPUT_MAX 256

struct vm_input {
	u8 bytes[VM_INPUT_MAX];
	u32 count;
};

// The end of what a VM's console said.
#define VM_KEPT (16 * KiB - 8)

struct vm_kept {
	u64 head; // all that it ever said, in bytes
	u8 text[VM_KEPT];
};

// From now on what it says is kept; false: out of memory. No lock held, as with vm_console_forget.
bool vm_console_keep(struct vm *vm);
void vm_console_forget(struct vm *vm);

// As log_read (kernel/core/log.h), of a VM whose console is kept. Takes vm->lock.
size_t vm_console_read(struct vm *vm, u64 *at, void *out, size_t size);

// Typed for one VM: how much of it was taken. The list of VMs is locked.
size_t vm_console_type(struct vm *vm, const u8 *bytes, size_t n);

// Offers the VMs' waiting input to their devices again. For pcpu_loop, on WORK_VM_INPUT.
void vm_console_push_input(void);
