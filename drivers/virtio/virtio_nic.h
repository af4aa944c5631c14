// SPDX-License-Identifier: MIT
// The driver for virtio network cards (virtio 1.2, 5.1).
#pragma once

// Brings all of them on the machine's PCI buses to work and registers them. At start, after pci_scan.
void virtio_nic_init(void);
