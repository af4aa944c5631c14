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

// Offers the VMs' waiting input to their devices again. For pcpu_loop, on WORK_VM_INPUT.
void vm_console_push_input(void);
