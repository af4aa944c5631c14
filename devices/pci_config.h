// SPDX-License-Identifier: MIT
// The configuration space of a PCI function: header of type 0, BARs, capabilities, by one mask of writable bits.
//
// A device describes its function once (pci_config_init, _bar, _cap); then reads and writes of the guest need no
// further thought, except where a register does something. Source: PCI Local Bus Specification 3.0, chapter 6.
#pragma once

#include "devices/pci.h"

struct pci_config {
	union {
		u8 byte[PCI_CONFIG_SIZE];
		u32 word[PCI_CONFIG_SIZE / 4];
	};
	union { // bits that the guest may change; they are 0 after a reset
		u8 writable[PCI_CONFIG_SIZE];
		u32 writable_word[PCI_CONFIG_SIZE / 4];
	};
	u64 bar_size[PCI_BARS];
	u8 last_cap; // offset of the last capability, 0: none
	u8 free;     // where the next one may stand
};

struct pci_identity {
	u16 vendor, device;
	u16 subsystem_vendor, subsystem;
	u8 revision;
	u32 class_code; // class, subclass, interface: 24 bits
};

// A function without BARs and capabilities. The command register has I/O, memory, bus master and INTx disable.
void pci_config_init(struct pci_config *c, const struct pci_identity *id, bool intx_pin);

// A BAR of `size` bytes, a power of two, at least 16. flags: PCI_BAR_IO, or a set of PCI_BAR_64 and
// PCI_BAR_PREFETCH.
void pci_config_bar(struct pci_config *c, unsigned bar, u64 size, u8 flags);

// Appends a capability of `size` bytes in all, its id and link among them; returns its offset. The device's author
// sees to it that all of them find room.
u8 pci_config_cap(struct pci_config *c, u8 id, u8 size);

u32 pci_config_get(const struct pci_config *c, unsigned offset, unsigned size);
void pci_config_set(
	struct pci_config *c, unsigned offset, unsigned size, u32 value); // by the device
void pci_config_write(
	struct pci_config *c, unsigned offset, unsigned size, u32 value); // by the guest
void pci_config_allow(
	struct pci_config *c, unsigned offset, unsigned size, u32 mask); // makes bits writable

// All writable bits to 0, or to what they are in `saved`.
void pci_config_reset(struct pci_config *c);
void pci_config_load(struct pci_config *c, const u8 saved[PCI_CONFIG_SIZE]);

struct pci_bar pci_config_bar_get(const struct pci_config *c, unsigned bar);

static inline u16 pci_config_command(const struct pci_config *c)
{
	return (u16)(c->byte[PCI_COMMAND] | c->byte[PCI_COMMAND + 1] << 8);
}
