// SPDX-License-Identifier: MIT
// The configuration space of a PCI function as bytes and a mask of what the guest may write.
#include "devices/pci_config.h"

#include "lib/string.h"

#define FIRST_CAP 0x40u

u32 pci_config_get(const struct pci_config *c, unsigned offset, unsigned size)
{
	u32 value = 0;

	for (unsigned i = 0; i < size && offset + i < PCI_CONFIG_SIZE; i++)
		value |= (u32)c->byte[offset + i] << 8 * i;
	return value;
}

void pci_config_set(struct pci_config *c, unsigned offset, unsigned size, u32 value)
{
	for (unsigned i = 0; i < size && offset + i < PCI_CONFIG_SIZE; i++)
		c->byte[offset + i] = (u8)(value >> 8 * i);
}

void pci_config_allow(struct pci_config *c, unsigned offset, unsigned size, u32 mask)
{
	for (unsigned i = 0; i < size && offset + i < PCI_CONFIG_SIZE; i++)
		c->writable[offset + i] = (u8)(mask >> 8 * i);
}

void pci_config_write(struct pci_config *c, unsigned offset, unsigned size, u32 value)
{
	for (unsigned i = 0; i < size && offset + i < PCI_CONFIG_SIZE; i++) {
		u8 mask = c->writable[offset + i];

		c->byte[offset + i] =
			(u8)((c->byte[offset + i] & ~mask) | ((u8)(value >> 8 * i) & mask));
	}
}

void pci_config_reset(struct pci_config *c)
{
	for (unsigned i = 0; i < ARRAY_SIZE(c->word); i++)
		c->word[i] &= ~c->writable_word[i];
}

void pci_config_load(struct pci_config *c, const u8 saved[PCI_CONFIG_SIZE])
{
	u32 word;

	pci_config_reset(c);
	for (unsigned i = 0; i < ARRAY_SIZE(c->word); i++) {
		memcpy(&word, saved + 4 * i, sizeof(word));
		c->word[i] |= word & c->writable_word[i];
	}
}

void pci_config_init(struct pci_config *c, const struct pci_identity *id, bool intx_pin)
{
	memset(c, 0, sizeof(*c));
	c->free = FIRST_CAP;
	pci_config_set(c, PCI_VENDOR_ID, 2, id->vendor);
	pci_config_set(c, PCI_DEVICE_ID, 2, id->device);
	pci_config_set(c, PCI_REVISION_ID, 1, id->revision);
	pci_config_set(c, PCI_CLASS_PROG, 3, id->class_code);
	pci_config_set(c, PCI_SUBSYSTEM_VENDOR, 2, id->subsystem_vendor);
	pci_config_set(c, PCI_SUBSYSTEM_ID, 2, id->subsystem);
	pci_config_set(c, PCI_INTERRUPT_PIN, 1, intx_pin); // 1: INTA
	pci_config_allow(c, PCI_INTERRUPT_LINE, 1, 0xff);
	pci_config_allow(c, PCI_COMMAND, 2,
		PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
			PCI_COMMAND_INTX_DISABLE);
}

void pci_config_bar(struct pci_config *c, unsigned bar, u64 size, u8 flags)
{
	u64 mask = ~(size - 1); // covers the flags, as the size is at least 16

	c->bar_size[bar] = size;
	pci_config_set(c, PCI_BAR_0 + 4 * bar, 1, flags);
	pci_config_allow(c, PCI_BAR_0 + 4 * bar, 4, (u32)mask);
	if (flags & PCI_BAR_64)
		pci_config_allow(c, PCI_BAR_0 + 4 * bar + 4, 4, (u32)(mask >> 32));
}

struct pci_bar pci_config_bar_get(const struct pci_config *c, unsigned bar)
{
	struct pci_bar b = {.size = c->bar_size[bar]};
	u32 low = pci_config_get(c, PCI_BAR_0 + 4 * bar, 4);

	if (!b.size)
		return b;
	b.io = low & PCI_BAR_IO;
	b.addr = low & ~(b.io ? PCI_BAR_IO_MASK : PCI_BAR_MEM_MASK);
	b.wide = !b.io && low & PCI_BAR_64;
	if (b.wide)
		b.addr |= (u64)pci_config_get(c, PCI_BAR_0 + 4 * bar + 4, 4) << 32;
	return b;
}

u8 pci_config_cap(struct pci_config *c, u8 id, u8 size)
{
	u8 at = c->free;

	c->byte[at] = id;
	if (c->last_cap)
		c->byte[c->last_cap + 1] = at;
	else
		c->byte[PCI_CAPABILITY_LIST] = at;
	c->byte[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	c->last_cap = at;
	c->free = (u8)ALIGN_UP(at + size, 4);
	return at;
}
