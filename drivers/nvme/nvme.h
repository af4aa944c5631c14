// SPDX-License-Identifier: MIT
// The driver for NVMe controllers on PCI (class 01 08 02).
#pragma once

// Brings all controllers of the machine to work and registers their disks. At start, after pci_scan.
void nvme_init(void);
