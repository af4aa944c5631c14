// SPDX-License-Identifier: MIT
// Registers of the common configuration structure, for the transport's own files (virtio 1.2, section 4.1.4.3).
#pragma once

#include "devices/virtio_pci.h"

#define VIRTIO_PCI_COMMON_SIZE 0x38u

enum { VIRTIO_ISR_QUEUE = 1, VIRTIO_ISR_CONFIG = 2 };

// Offset below VIRTIO_PCI_ISR; size 1, 2, 4 or 8. Reads have any alignment; writes count at a register's own width, or
// for 64-bit registers at 32 bits too.
u64 virtio_pci_common_read(const struct virtio_pci *p, u64 offset, unsigned size);
void virtio_pci_common_write(struct virtio_pci *p, u64 offset, unsigned size, u64 value);

// A reset by the driver: the device and the registers above, not the configuration space nor the MSI-X table.
void virtio_pci_device_reset(struct virtio_pci *p);

// The configuration space has changed: interrupts that may be sent now are sent, the device stops or starts.
void virtio_pci_refresh(struct virtio_pci *p);
