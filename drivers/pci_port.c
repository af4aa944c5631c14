// SPDX-License-Identifier: MIT
#include "drivers/pci_port.h"
#include "kernel/x86/port.h"

#define PORT_ADDRESS 0xCF8
#define PORT_DATA    0xCFC
#define PORT_SPACE   256u

static void port_select(u16 address, u32 offset)
{
	port_out32(PORT_ADDRESS, BIT(31) | (u32)address << 8 | (offset & 0xFC));
}

u32 pci_port_read32(u16 address, u32 offset)
{
	if (offset >= PORT_SPACE)
		return ~0u;
	port_select(address, offset);
	return port_in32(PORT_DATA);
}

void pci_port_write32(u16 address, u32 offset, u32 v)
{
	if (offset >= PORT_SPACE)
		return;
	port_select(address, offset);
	port_out32(PORT_DATA, v);
}
