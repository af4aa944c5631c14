// SPDX-License-Identifier: MIT
// The driver for Intel's 82574L network cards (e1000e).
#pragma once

// Brings all of them on the machine's PCI buses to work and registers them. At start, after pci_scan.
void e1000e_init(void);
