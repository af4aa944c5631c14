// SPDX-License-Identifier: MIT
// A well-behaved driver of a virtio PCI function: finds its capabilities, negotiates, sets up queues.
#pragma once

#include "devices/virtio_pci.h"
#include "tests/unit/virtio_driver.h"

enum { CFG_COMMON = 1, CFG_NOTIFY, CFG_ISR, CFG_DEVICE, CFG_PCI };
enum {
	C_DFSEL = 0,
	C_DF = 4,
	C_GFSEL = 8,
	C_GF = 0xc,
	C_MSIX = 0x10,
	C_QUEUES = 0x12,
	C_STATUS = 0x14
};
enum { C_GENERATION = 0x15, C_QSEL = 0x16, C_QSIZE = 0x18, C_QMSIX = 0x1a, C_QENABLE = 0x1c };
enum { C_QNOTIFY = 0x1e, C_QDESC = 0x20, C_QDRIVER = 0x28, C_QDEVICE = 0x30 };

#define MSI_ADDR 0xfee00000u // of vector v: this + 16 * v, with the data 0x40 + v

struct pci_driver {
	struct host *host;
	struct virtio_pci *fn;
	unsigned common, isr, device; // offsets in the BAR
	unsigned window;              // offset of the capability
	struct {
		unsigned bar, offset;
		u32 multiplier;
	} notify[2]; // in the device's order
	unsigned ways;
	unsigned msix; // offset of the capability
};

static inline u32 cfg_get(struct pci_driver *d, unsigned offset, unsigned size)
{
	return virtio_pci_ops.config_read(d->fn, offset, size);
}

static inline void cfg_put(struct pci_driver *d, unsigned offset, unsigned size, u32 v)
{
	virtio_pci_ops.config_write(d->fn, offset, size, v);
}

static inline u64 bar_get(struct pci_driver *d, u64 offset, unsigned size)
{
	return virtio_pci_ops.bar_read(d->fn, 0, offset, size);
}

static inline void bar_put(struct pci_driver *d, u64 offset, unsigned size, u64 v)
{
	virtio_pci_ops.bar_write(d->fn, 0, offset, size, v);
}

static inline u64 reg_get(struct pci_driver *d, unsigned reg, unsigned size)
{
	return bar_get(d, d->common + reg, size);
}

static inline void reg_put(struct pci_driver *d, unsigned reg, unsigned size, u64 v)
{
	bar_put(d, d->common + reg, size, v);
}

// Walks the capability list; switches memory decoding and bus mastering on. False: not what was expected.
static inline bool driver_find(struct pci_driver *d, struct virtio_pci *fn)
{
	unsigned found = 0, steps = 0;

	*d = (struct pci_driver){.host = fn->dev->host, .fn = fn};
	for (unsigned at = cfg_get(d, PCI_CAPABILITY_LIST, 1); at; at = cfg_get(d, at + 1, 1)) {
		u32 offset = cfg_get(d, at + 8, 4);

		if (++steps > 48 || at % 4)
			return false;
		if (cfg_get(d, at, 1) == 0x11)
			d->msix = at;
		if (cfg_get(d, at, 1) != 0x09)
			continue;
		switch (cfg_get(d, at + 3, 1)) {
		case CFG_COMMON:
			d->common = offset;
			break;
		case CFG_NOTIFY:
			if (d->ways == 2)
				return false;
			d->notify[d->ways].bar = cfg_get(d, at + 4, 1);
			d->notify[d->ways].offset = offset;
			d->notify[d->ways++].multiplier = cfg_get(d, at + 16, 4);
			break;
		case CFG_ISR:
			d->isr = offset;
			break;
		case CFG_DEVICE:
			d->device = offset;
			break;
		case CFG_PCI:
			d->window = at;
			break;
		}
		found |= 1u << cfg_get(d, at + 3, 1);
	}
	cfg_put(d, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	return (found | 1u << CFG_DEVICE) == 0x3e && // not all have a configuration
	       d->msix && d->ways == 2;
}

// All vectors unmasked, with their messages as above.
static inline void driver_msix(struct pci_driver *d, unsigned vectors)
{
	u32 table = cfg_get(d, d->msix + 4, 4) & ~7u;

	for (unsigned v = 0; v < vectors; v++) {
		bar_put(d, table + 16 * v, 4, MSI_ADDR + 16 * v);
		bar_put(d, table + 16 * v + 4, 4, 0);
		bar_put(d, table + 16 * v + 8, 4, 0x40 + v);
		bar_put(d, table + 16 * v + 12, 4, 0);
	}
	cfg_put(d, d->msix + 2, 2, 0x8000);
}

// Resets and accepts these of the offered features and VERSION_1. True when the device agreed.
static inline bool driver_negotiate(struct pci_driver *d, u64 features)
{
	u64 offered;

	reg_put(d, C_STATUS, 1, 0);
	reg_put(d, C_STATUS, 1, VIRTIO_ACKNOWLEDGE);
	reg_put(d, C_STATUS, 1, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	reg_put(d, C_DFSEL, 4, 0);
	offered = reg_get(d, C_DF, 4);
	reg_put(d, C_DFSEL, 4, 1);
	offered |= reg_get(d, C_DF, 4) << 32;
	features = (features & offered) | VIRTIO_F_VERSION_1;
	reg_put(d, C_GFSEL, 4, 0);
	reg_put(d, C_GF, 4, (u32)features);
	reg_put(d, C_GFSEL, 4, 1);
	reg_put(d, C_GF, 4, features >> 32);
	reg_put(d, C_STATUS, 1, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
	return reg_get(d, C_STATUS, 1) & VIRTIO_FEATURES_OK;
}

// Queue `index` with its rings in three pages from `gpa` on, and a vector (MSIX_NONE: none).
static inline struct ring driver_queue(
	struct pci_driver *d, u16 index, u16 size, u64 gpa, u16 vector)
{
	struct ring r = {
		.host = d->host,
		.desc = gpa,
		.driver = gpa + PAGE_SIZE,
		.device = gpa + 2 * PAGE_SIZE,
		.size = size,
	};

	for (unsigned i = 0; i < 3; i++)
		host_test_page_clear(d->host, gpa + i * PAGE_SIZE);
	reg_put(d, C_QSEL, 2, index);
	reg_put(d, C_QSIZE, 2, size);
	reg_put(d, C_QMSIX, 2, vector);
	reg_put(d, C_QDESC, 8, r.desc);
	reg_put(d, C_QDRIVER, 4, (u32)r.driver);
	reg_put(d, C_QDRIVER + 4, 4, r.driver >> 32);
	reg_put(d, C_QDEVICE, 8, r.device);
	reg_put(d, C_QENABLE, 2, 1);
	return r;
}

static inline void driver_ok(struct pci_driver *d)
{
	reg_put(d, C_STATUS, 1, reg_get(d, C_STATUS, 1) | VIRTIO_DRIVER_OK);
}

// way: 0 is the one that the device prefers.
static inline void driver_kick_by(struct pci_driver *d, unsigned way, u16 queue)
{
	u64 offset = d->notify[way].offset;

	reg_put(d, C_QSEL, 2, queue);
	offset += reg_get(d, C_QNOTIFY, 2) * d->notify[way].multiplier;
	virtio_pci_ops.bar_write(d->fn, d->notify[way].bar, offset, 2, queue);
}

static inline void driver_kick(struct pci_driver *d, u16 queue)
{
	driver_kick_by(d, 0, queue);
}
