// SPDX-License-Identifier: MIT
// A PCI function as its bus sees it: configuration space, BARs, reset.
//
// The bus owns addresses: it decodes configuration cycles, memory and I/O and calls the function with offsets.
// The function owns its registers, the BARs among them. All calls for one VM come one at a time (the bus holds its
// lock), so a function needs no lock of its own against them. Arguments are a guest's: any offset and value within
// the stated bounds may come. Source: PCI Local Bus Specification 3.0, chapter 6.
#pragma once

#include "lib/types.h"

#define PCI_CONFIG_SIZE 256u
#define PCI_BARS        6u

// Offsets in the header, type 0.
#define PCI_VENDOR_ID        0x00u
#define PCI_DEVICE_ID        0x02u
#define PCI_COMMAND          0x04u
#define PCI_STATUS           0x06u
#define PCI_REVISION_ID      0x08u
#define PCI_CLASS_PROG       0x09u
#define PCI_CLASS_DEVICE     0x0au
#define PCI_HEADER_TYPE      0x0eu
#define PCI_BAR_0            0x10u
#define PCI_SUBSYSTEM_VENDOR 0x2cu
#define PCI_SUBSYSTEM_ID     0x2eu
#define PCI_CAPABILITY_LIST  0x34u
#define PCI_INTERRUPT_LINE   0x3cu
#define PCI_INTERRUPT_PIN    0x3du

// Bits of PCI_COMMAND.
#define PCI_COMMAND_IO           0x0001u
#define PCI_COMMAND_MEMORY       0x0002u
#define PCI_COMMAND_MASTER       0x0004u
#define PCI_COMMAND_INTX_DISABLE 0x0400u

// Bits of PCI_STATUS.
#define PCI_STATUS_INTERRUPT 0x0008u
#define PCI_STATUS_CAP_LIST  0x0010u

// Low bits of a BAR.
#define PCI_BAR_IO       0x1u
#define PCI_BAR_64       0x4u
#define PCI_BAR_PREFETCH 0x8u
#define PCI_BAR_MEM_MASK 0xfu
#define PCI_BAR_IO_MASK  0x3u

// A BAR as it decodes now, whatever the command register says (the bus looks at that itself).
struct pci_bar {
	u64 addr; // bus address written by the guest, its low bits cleared
	u64 size; // bytes, a power of two of at least 16; 0: no such BAR (also the upper half of a 64-bit one)
	bool wide;  // a 64-bit BAR: its upper half is in the next one
	bool io;    // of ports, not of memory
	bool fixed; // decodes wherever it is, of any size: not for a guest to move
};

struct pci_function_ops {
	// offset + size <= PCI_CONFIG_SIZE, size 1, 2 or 4, offset a multiple of size.
	u32 (*config_read)(void *dev, unsigned offset, unsigned size);
	void (*config_write)(void *dev, unsigned offset, unsigned size, u32 value);

	// bar < PCI_BARS.
	struct pci_bar (*bar)(void *dev, unsigned bar);

	// Memory and ports. offset + size <= the BAR's size, size 1..8 (a power of two; ports: 1..4), any alignment.
	u64 (*bar_read)(void *dev, unsigned bar, u64 offset, unsigned size);
	void (*bar_write)(void *dev, unsigned bar, u64 offset, unsigned size, u64 value);

	// As after power-on; BARs are 0 and the command register is clear then.
	void (*reset)(void *dev);
};
