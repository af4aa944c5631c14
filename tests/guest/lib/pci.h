// SPDX-License-Identifier: MIT
// PCI configuration by ports CF8h/CFCh and by ECAM; BARs; capabilities.
#pragma once

#include "lib/types.h"

// bus << 8 | slot << 3 | function
typedef u16 pci_bdf;

#define PCI_BDF(bus, slot, function) ((pci_bdf)((bus) << 8 | (slot) << 3 | (function)))

u32 pci_read(pci_bdf at, u32 offset, u32 bytes); // bytes: 1, 2, 4
void pci_write(pci_bdf at, u32 offset, u32 bytes, u32 v);

// The 4 KiB of a function's ECAM; NULL: no MCFG, or its bus is not in it.
volatile u8 *pci_ecam(pci_bdf at);
u32 pci_ecam_buses(void); // how many the MCFG covers, from bus 0

// The first function on bus 0 with this vendor and device; 0: none (00:00.0 is the host bridge).
pci_bdf pci_find(u16 vendor, u16 device);

// A memory BAR: its address and size; false: not there, or not memory. 64-bit ones take the next index too.
bool pci_bar(pci_bdf at, u32 index, u64 *base, u64 *size, bool *wide);

// Offset of the next capability with this id behind `after` (0: from the start); 0: none.
u32 pci_capability(pci_bdf at, u8 id, u32 after);

#define PCI_VIRTIO_VENDOR  0x1AF4
#define PCI_VIRTIO_CONSOLE 0x1043
#define PCI_VIRTIO_NET     0x1041
