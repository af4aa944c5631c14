// SPDX-License-Identifier: MIT
// The PCI host bridge and bus 0 behind it: configuration by CF8h/CFCh and by ECAM, memory decoding of BARs.
//
// Slot 0 is the bridge; slots 1..31 take single functions (devices/pci.h). There is no other bus.
// Source: PCI Local Bus Specification 3.0, section 3.2.2.3.2; PCI Express Base Specification, section 7.2.2.
#pragma once

#include "devices/pci.h"

#define VPCI_SLOTS    32u
#define VPCI_DECODES  64u     // BARs that can decode at a time
#define VPCI_IO_BASE  0xc000u // BARs of ports decode from here on; no other ports are here
#define VPCI_IO_END   0x10000u
#define VPCI_IRQ_BASE 16u // INTA of slot s is IRQ 16 + s % 4 (_PRT in dsdt.asl)

struct vm;

struct vpci_decode {
	u64 start, end;
	u8 slot;
	u8 bar;
	bool io;
};

struct vpci {
	struct vm *vm;
	struct {
		const struct pci_function_ops *ops; // NULL: the slot is empty
		void *dev;
	} slot[VPCI_SLOTS];
	u32 address;   // CF8h
	u32 intx;      // set of slots whose INTA is asserted
	u8 bridge[64]; // header of 00:00.0
	unsigned decodes;
	struct vpci_decode decode[VPCI_DECODES];
};

// All with vm->lock held.
void vpci_init(struct vpci *p, struct vm *vm);

// Resets all functions and gives their BARs addresses, as firmware does. Memory decoding stays off until the guest
// switches it on.
void vpci_reset(struct vpci *p);

// Puts a function into slot 1..31, before the VM runs. 0; -EBUSY: the slot is taken; -EINVAL: no such slot.
int vpci_add(struct vpci *p, unsigned slot, const struct pci_function_ops *ops, void *dev);

// The function's interrupt pin (level, shared); slot 1..31.
void vpci_intx_set(struct vpci *p, unsigned slot, bool level);

// CF8h-CFBh as one 32-bit register, and CFCh-CFFh by size 1, 2, 4.
u32 vpci_data_read(struct vpci *p, u16 port, unsigned size);
void vpci_data_write(struct vpci *p, u16 port, unsigned size, u32 value);

// Configuration space by ECAM offset (bus 0, so below 1 MiB). Naturally aligned 1, 2, 4; others are all ones/lost.
u32 vpci_ecam_read(struct vpci *p, u32 offset, unsigned size);
void vpci_ecam_write(struct vpci *p, u32 offset, unsigned size, u32 value);

// Memory of a BAR. false: no function decodes all of [gpa, gpa + size).
bool vpci_mmio_read(struct vpci *p, u64 gpa, unsigned size, u64 *value);
bool vpci_mmio_write(struct vpci *p, u64 gpa, unsigned size, u64 value);

// Ports of a BAR, likewise. size 1, 2, 4.
bool vpci_io_read(struct vpci *p, u32 port, unsigned size, u32 *value);
bool vpci_io_write(struct vpci *p, u32 port, unsigned size, u32 value);
