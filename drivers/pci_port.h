// SPDX-License-Identifier: MIT
// The first 256 bytes of a function's configuration space, by two ports (PCI 3.0, 3.2.2.3.2). Start only: the ports are one
// after the other, and whoever else uses them would be disturbed.
#pragma once

#include "lib/types.h"

// Offsets are multiples of 4; what is beyond reads as ones, and is not written.
u32 pci_port_read32(u16 address, u32 offset);
void pci_port_write32(u16 address, u32 offset, u32 v);
