// SPDX-License-Identifier: MIT
// The functions on the machine's PCI buses (PCI 3.0, PCI Express base 4.0, 7.5): found once at start, behind
// bridges too. Nothing that configuration space says is believed: every list and number is bounded.
// All of this is for start, on the boot CPU, but for reads and writes of a function's own space by its driver.
#pragma once

#include "lib/addr.h"

#define PCI_MAX_FUNCTIONS 64
#define PCI_BARS          6

struct pci_bar {
	hpa_t base; // HPA_NONE: there is none, it is of ports, or it could not be given an address
	u64 size;   // bytes, a power of two; 0: none
	bool wide, prefetch; // of 64 bits; may be prefetched
	volatile u8 *map;    // by pci_map
};

struct pci_function {
	u16 address; // bus << 8 | device << 3 | function
	u16 vendor, device;
	u32 class; // base class, sub-class, programming interface: 0xBBSSPP
	struct pci_bar bars[PCI_BARS];
	volatile u8 *msix;           // its table, once a vector is set
	struct iommu_domain *domain; // what it reaches, once it is enabled; NULL: there is no IOMMU
};

// Finds all functions and logs them; how many there are.
u32 pci_scan(void);

// The functions found, 0 .. pci_count() - 1.
u32 pci_count(void);
struct pci_function *pci_at(u32 i);

// Maps a memory BAR, uncached; NULL: not there, shorter than `least` bytes, or no room.
volatile u8 *pci_map(struct pci_function *f, unsigned bar, u64 least);

// Lets the function decode memory and be a master of the bus, in a domain of the IOMMU; its interrupt pin is off.
void pci_enable(struct pci_function *f);

// It decodes nothing and masters nothing any more, and the IOMMU lets nothing through. Any CPU, locks below LOCK_IOMMU.
void pci_disable(struct pci_function *f);

// The offset of the first capability with this id behind `after` (0: from the start); 0: none.
u32 pci_capability(const struct pci_function *f, u8 id, u32 after);

#define PCI_CAP_MSI    0x05
#define PCI_CAP_VENDOR 0x09
#define PCI_CAP_MSIX   0x11

// pci_irq.c: how many interrupt messages of its own the function can send: by MSI-X as its table says, by
// MSI one (more than one cannot be sent to several CPUs); 0: none.
struct irq_message;
u32 pci_irq_count(const struct pci_function *f);

// Message n of the function; the first one chosen switches MSI-X (or MSI) on, the others stay masked.
// 0, -ENODEV or -EINVAL: it cannot.
int pci_irq_set(struct pci_function *f, u32 n, const struct irq_message *m);

// Holds back MSI-X message n, which was chosen; what was held back comes when it is not any more. Others than MSI-X: nothing.
void pci_irq_mask(struct pci_function *f, u32 n, bool on);

// pci_config.c: configuration space by ECAM where ACPI's MCFG has the bus, else by ports CF8 and CFC.
// `offset` is aligned to its size; what is not there reads as ones.
u32 pci_read32(u16 address, u32 offset);
void pci_write32(u16 address, u32 offset, u32 v);

static inline u16 pci_read16(u16 address, u32 offset)
{
	return (u16)(pci_read32(address, offset & ~3u) >> 8 * (offset & 2));
}
static inline u8 pci_read8(u16 address, u32 offset)
{
	return (u8)(pci_read32(address, offset & ~3u) >> 8 * (offset & 3));
}

// The first buses of the machine's host bridges; at most `max`, how many.
u32 pci_root_buses(u8 *buses, u32 max);
