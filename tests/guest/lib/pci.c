// SPDX-License-Identifier: MIT
// PCI configuration accesses of a guest.
#include "guest.h"
#include "acpi.h"
#include "pci.h"

static void select(pci_bdf at, u32 offset)
{
	outl(0xCF8, BIT(31) | (u32)at << 8 | (offset & 0xFC));
}

u32 pci_read(pci_bdf at, u32 offset, u32 bytes)
{
	u16 port = (u16)(0xCFC + (offset & 3));

	select(at, offset);
	return bytes == 1 ? inb(port) : bytes == 2 ? inw(port) : inl(port);
}

void pci_write(pci_bdf at, u32 offset, u32 bytes, u32 v)
{
	u16 port = (u16)(0xCFC + (offset & 3));

	select(at, offset);
	if (bytes == 1)
		outb(port, (u8)v);
	else if (bytes == 2)
		outw(port, (u16)v);
	else
		outl(port, v);
}

struct __attribute__((packed)) mcfg {
	struct acpi_header header;
	u64 reserved, base;
	u16 segment;
	u8 first, last;
};

u32 pci_ecam_buses(void)
{
	const struct mcfg *m = (const struct mcfg *)acpi_table("MCFG");

	return m && m->header.length >= sizeof(*m) && m->first == 0 ? m->last + 1u : 0;
}

volatile u8 *pci_ecam(pci_bdf at)
{
	const struct mcfg *m = (const struct mcfg *)acpi_table("MCFG");

	if ((u32)(at >> 8) >= pci_ecam_buses())
		return NULL;
	return map_mmio(m->base + ((u64)at << 12), 4096);
}

pci_bdf pci_find(u16 vendor, u16 device)
{
	for (u32 f = 1; f < 256; f++)
		if (pci_read((pci_bdf)f, 0, 4) == ((u32)device << 16 | vendor))
			return (pci_bdf)f;
	return 0;
}

bool pci_bar(pci_bdf at, u32 index, u64 *base, u64 *size, bool *wide)
{
	u32 reg = 0x10 + 4 * index, low = pci_read(at, reg, 4), high = 0, mask_low, mask_high = ~0u;
	u16 command = (u16)pci_read(at, 4, 2);

	if (low & 1)
		return false;
	*wide = (low & 6) == 4;
	pci_write(at, 4, 2, command & ~3u);
	pci_write(at, reg, 4, ~0u);
	mask_low = pci_read(at, reg, 4);
	pci_write(at, reg, 4, low);
	if (*wide) {
		high = pci_read(at, reg + 4, 4);
		pci_write(at, reg + 4, 4, ~0u);
		mask_high = pci_read(at, reg + 4, 4);
		pci_write(at, reg + 4, 4, high);
	}
	pci_write(at, 4, 2, command);
	if (!(mask_low & ~0xFu) && (!*wide || !mask_high))
		return false;
	*base = (u64)high << 32 | (low & ~0xFu);
	*size = ~((u64)mask_high << 32 | (mask_low & ~0xFu)) + 1;
	return true;
}

u32 pci_capability(pci_bdf at, u8 id, u32 after)
{
	u32 next, limit = 48;

	if (!(pci_read(at, 6, 2) & 0x10))
		return 0;
	next = pci_read(at, after ? after + 1 : 0x34, 1) & 0xFC;
	while (next >= 0x40 && limit--) {
		if (pci_read(at, next, 1) == id)
			return next;
		next = pci_read(at, next + 1, 1) & 0xFC;
	}
	return 0;
}
