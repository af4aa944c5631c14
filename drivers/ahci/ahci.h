// SPDX-License-Identifier: MIT
// The driver for SATA disks at AHCI controllers (class 01 06 01).
#pragma once

// Brings the ports of all controllers to work and registers their disks: sata0, sata1, ... At start, after pci_scan.
void ahci_init(void);
