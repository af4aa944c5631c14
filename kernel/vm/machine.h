// SPDX-License-Identifier: MIT
// The real machine behind the root VM: what takes the place of the virtual PC there. Other VMs have none.
#pragma once

#include "lib/types.h"

struct memory_entry;
struct vcpu;
struct vm;

struct vm_machine {
	// Ports that the VM's own chips do not have, where an access exits. On the CPU that runs v, vm->lock held.
	u32 (*port_read)(struct vm *vm, u16 port, unsigned size);
	void (*port_write)(struct vm *vm, u16 port, unsigned size, u32 value);

	// Is the port one of a chip that the VM has of its own? Else it is the machine's.
	bool (*port_is_virtual)(u16 port);

	// Must accesses to the port exit? Those to other ports of the machine need not.
	bool (*port_exits)(u16 port);

	// The VM touched what is not its RAM: true, when that is a device's memory and mapped now. No lock held.
	bool (*map_device)(struct vm *vm, u64 gpa);

	// The entry of an I/O APIC's pin was written; an interrupt of it has ended. vm->lock held.
	void (*pin_changed)(struct vm *vm, unsigned pin);
	void (*pin_ended)(struct vm *vm, unsigned pin);

	// The local APIC's logical id was written. On the CPU that runs v.
	void (*logical_id_changed)(struct vcpu *v);

	// The memory map at boot; how many entries.
	unsigned (*memory_map)(const struct vm *vm, struct memory_entry *map, unsigned max);

	// Guest-physical address of ACPI's root pointer.
	u64 (*rsdp)(struct vm *vm);

	// A hypercall that only the root VM has (abi/hypercall.h), in 64-bit mode and ring 0. No lock held.
	s64 (*call)(struct vcpu *v, u64 nr, const u64 a[4]);
};
