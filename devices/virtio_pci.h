// SPDX-License-Identifier: MIT
// A virtio device as a PCI function: the modern transport (virtio 1.2, section 4.1), MSI-X or the interrupt pin.
//
// One 32-bit memory BAR of 16 KiB holds everything; what is notified lies in a page of its own:
//
//	0x0000 common configuration   0x0800 ISR status       0x1000 device configuration
//	0x2000 MSI-X table            0x2800 MSI-X pending    0x3000 notifications, 4 bytes for each queue
//
// A second BAR is one port, where a queue's number is written to notify it. It is the preferred way: an access to a port
// tells the hypervisor all in its exit, one to memory has to be decoded from the instruction.
#pragma once

#include "devices/msix.h"
#include "devices/virtio.h"

#define VIRTIO_PCI_BAR       0u
#define VIRTIO_PCI_PORT_BAR  1u
#define VIRTIO_PCI_PORT_SIZE 16u
#define VIRTIO_PCI_BAR_SIZE  0x4000u
#define VIRTIO_PCI_COMMON    0x0000u
#define VIRTIO_PCI_ISR       0x0800u
#define VIRTIO_PCI_DEVICE    0x1000u
#define VIRTIO_PCI_MSIX      0x2000u
#define VIRTIO_PCI_PBA       0x2800u
#define VIRTIO_PCI_NOTIFY    0x3000u
#define VIRTIO_PCI_QUEUES                                                                          \
	(MSIX_MAX - 1) // at most: a vector for each, and one for the configuration

struct virtio_pci {
	struct virtio_transport transport;
	struct virtio_device *dev;
	struct pci_config config;
	struct msix msix;
	unsigned slot; // for host_intx
	u8 window;     // offset of the capability for access through configuration space
	u8 isr;
	bool pin; // as last told to the host
	u32 device_feature_select, driver_feature_select;
	u16 queue_select;
	u16 config_vector;
	u16 queue_vector[VIRTIO_PCI_QUEUES];
};

extern const struct pci_function_ops virtio_pci_ops; // its `dev` is a struct virtio_pci

// Makes a function of an initialized device (virtio_init), which becomes its transport. Both stay where they are.
void virtio_pci_init(struct virtio_pci *p, struct virtio_device *d, unsigned slot);

// State of the transport alone, for save and restore; the device's is its own.
#define VIRTIO_PCI_STATE_VERSION 1u
struct virtio_pci_state {
	u16 version;
	u16 queue_select;
	u16 config_vector;
	u8 isr;
	u8 reserved;
	u32 device_feature_select, driver_feature_select;
	u64 pending;
	u16 queue_vector[VIRTIO_PCI_QUEUES + 1]; // the last is zero
	struct msix_entry entry[MSIX_MAX];
	u8 config[PCI_CONFIG_SIZE];
};

void virtio_pci_save(const struct virtio_pci *p, struct virtio_pci_state *s);
// After the device's state was loaded; starts the device if it was running. false: not a valid state (all is reset).
bool virtio_pci_load(struct virtio_pci *p, const struct virtio_pci_state *s);
