// SPDX-License-Identifier: MIT
// The virtual devices of a VM in the kernel: made with the VM, reset with its PCI bus (vpci_reset), destroyed with it.
#pragma once

#include "lib/types.h"

struct vm;

#define VM_CONSOLE_SLOT 1u // of the virtio-console on the PCI bus

// After pc_init and before pc_reset. 0, or -ENOMEM (nothing is left behind).
int vm_devices_create(struct vm *vm);

// After all vcpus have left the scheduler, while they still exist (a timer may interrupt them until this returns); no
// lock held. Harmless if nothing was created.
void vm_devices_destroy(struct vm *vm);

// Input for the VM's console. False: no driver runs the virtio-console (the bytes are for the UART then). True: it took
// *taken bytes; when fewer than n, vm_console_input_room() is called once there is room. Takes vm->lock.
bool vm_console_device_input(struct vm *vm, const u8 *bytes, size_t n, size_t *taken);

// vm_console_output() took fewer bytes than it was given, and has room again. Takes vm->lock.
void vm_console_device_drain(struct vm *vm);
