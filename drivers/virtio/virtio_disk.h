// SPDX-License-Identifier: MIT
// The driver for virtio block devices (virtio 1.2, 5.2).
#pragma once

// Brings all of them on the machine's PCI buses to work and registers their disks. At start, after pci_scan.
void virtio_disk_init(void);
