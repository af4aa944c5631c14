// SPDX-License-Identifier: MIT
// PCI configuration space: by memory (ECAM, PCI Express base 4.0, 7.2.2), where the machine has that, else by ports.
#include "drivers/pci_assign.h"
#include "drivers/pci_port.h"
#include "kernel/core/log.h"
#include "kernel/x86/acpi.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/port.h"

#define BUS_SIZE MiB
#define BUSES    256u

// Each bus is mapped when it is first looked at; `tried` are those for which that is settled.
static volatile u8 *ecam[BUSES];
static bool tried[BUSES];

// Where the space of the bus lies, of segment 0; the base in MCFG is that of bus 0 even if it begins later.
static hpa_t ecam_of(u8 bus)
{
	for (u32 i = 0; i < acpi_info.ecam_count; i++) {
		u64 base = acpi_info.ecams[i].base.v;

		if (acpi_info.ecams[i].segment || bus < acpi_info.ecams[i].first_bus ||
			bus > acpi_info.ecams[i].last_bus)
			continue;
		if (base && IS_ALIGNED(base, BUS_SIZE) && base < BIT(52) - BUSES * BUS_SIZE)
			return hpa(base + bus * BUS_SIZE);
	}
	return HPA_NONE;
}

static volatile u8 *ecam_map(u8 bus)
{
	if (!tried[bus]) {
		hpa_t a = ecam_of(bus);

		tried[bus] = true;
		ecam[bus] = hpa_is_none(a) ? NULL : mmio_map(a, BUS_SIZE);
	}
	return ecam[bus];
}

u32 pci_read32(u16 address, u32 offset)
{
	volatile u8 *bus = ecam_map((u8)(address >> 8));

	ASSERT(IS_ALIGNED(offset, 4) && offset < PAGE_SIZE);
	if (bus)
		return mmio_read32(bus + (u32)(address & 0xFF) * PAGE_SIZE + offset);
	return pci_port_read32(address, offset);
}

void pci_write32(u16 address, u32 offset, u32 v)
{
	volatile u8 *bus = ecam_map((u8)(address >> 8));

	ASSERT(IS_ALIGNED(offset, 4) && offset < PAGE_SIZE);
	if (bus) {
		mmio_write32(bus + (u32)(address & 0xFF) * PAGE_SIZE + offset, v);
	} else {
		pci_port_write32(address, offset, v);
	}
}

// Configuration space is all that lies amidst the devices' addresses; chips of the board are above (pci_assign.c).
bool pci_reserved(u32 i, u64 *first, u64 *last)
{
	if (i >= acpi_info.ecam_count)
		return false;
	*first = acpi_info.ecams[i].base.v + acpi_info.ecams[i].first_bus * BUS_SIZE;
	*last = acpi_info.ecams[i].base.v + (acpi_info.ecams[i].last_bus + 1) * BUS_SIZE - 1;
	return true;
}

u32 pci_root_buses(u8 *buses, u32 max)
{
	u32 n = 0;

	if (n < max)
		buses[n++] = 0;
	for (u32 i = 0; i < acpi_info.ecam_count && n < max; i++)
		if (!acpi_info.ecams[i].segment && acpi_info.ecams[i].first_bus)
			buses[n++] = acpi_info.ecams[i].first_bus;
	return n;
}
