// SPDX-License-Identifier: MIT
// Drives IOAPICs (Intel 82093AA datasheet) as far as the kernel itself needs them, and silences the
// PICs.
#include "kernel/x86/ioapic.h"
#include "kernel/core/log.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/port.h"

#define PIC1 0x20u
#define PIC2 0xA0u

#define REG_SELECT   0x00
#define REG_WINDOW   0x10
#define REG_VERSION  1u
#define REG_REDIRECT 0x10u
#define ENTRY_LEVEL  0x8000u
#define ENTRY_LOW    0x2000u // active low

static volatile u8 *ioapics[ACPI_MAX_IOAPICS];
static u32 inputs[ACPI_MAX_IOAPICS];
static const struct acpi_info *acpi;

static u32 ioapic_read(u32 i, u32 reg)
{
	mmio_write32(ioapics[i] + REG_SELECT, reg);
	return mmio_read32(ioapics[i] + REG_WINDOW);
}

static void ioapic_write(u32 i, u32 reg, u32 v)
{
	mmio_write32(ioapics[i] + REG_SELECT, reg);
	mmio_write32(ioapics[i] + REG_WINDOW, v);
}

// Their spurious interrupts cannot be masked: give them vectors that no exception has.
void pic_silence(void)
{
	port_out8(PIC1, 0x11);
	port_out8(PIC2, 0x11);
	port_out8(PIC1 + 1, 0x20);
	port_out8(PIC2 + 1, 0x28);
	port_out8(PIC1 + 1, 4);
	port_out8(PIC2 + 1, 2);
	port_out8(PIC1 + 1, 1);
	port_out8(PIC2 + 1, 1);
	port_out8(PIC1 + 1, 0xFF);
	port_out8(PIC2 + 1, 0xFF);
}

void irq_init(const struct acpi_info *info)
{
	acpi = info;
	for (u32 i = 0; i < acpi->ioapic_count; i++) {
		ioapics[i] = mmio_map(acpi->ioapics[i].base, 0x20);
		if (!ioapics[i])
			continue;
		inputs[i] = (ioapic_read(i, REG_VERSION) >> 16 & 255) + 1;
		for (u32 n = 0; n < inputs[i]; n++)
			ioapic_write(i, REG_REDIRECT + 2 * n, IOAPIC_MASKED);
	}
}

bool irq_route_isa(u32 irq, u8 vector, u32 apic_id)
{
	u32 gsi = acpi->isa[irq].gsi, low = vector;

	if (apic_id > 255) // needs interrupt remapping
		return false;
	if (acpi->isa[irq].active_low)
		low |= ENTRY_LOW;
	if (acpi->isa[irq].level)
		low |= ENTRY_LEVEL;
	for (u32 i = 0; i < acpi->ioapic_count; i++) {
		u32 first = acpi->ioapics[i].gsi;

		if (!ioapics[i] || gsi < first || gsi - first >= inputs[i])
			continue;
		ioapic_write(i, REG_REDIRECT + 2 * (gsi - first) + 1, apic_id << 24);
		ioapic_write(i, REG_REDIRECT + 2 * (gsi - first), low);
		return true;
	}
	return false;
}

// Which IOAPIC has it, and its number there; false: none.
static bool pin_find(u32 gsi, u32 *ioapic, u32 *pin)
{
	for (u32 i = 0; i < acpi->ioapic_count; i++)
		if (ioapics[i] && gsi - acpi->ioapics[i].gsi < inputs[i]) {
			*ioapic = i;
			*pin = gsi - acpi->ioapics[i].gsi;
			return true;
		}
	return false;
}

// Masked first, so that no half of an entry is in force.
void ioapic_pin_set(u32 gsi, u64 entry)
{
	u32 i, n;

	if (!pin_find(gsi, &i, &n))
		return;
	ioapic_write(i, REG_REDIRECT + 2 * n, IOAPIC_MASKED);
	ioapic_write(i, REG_REDIRECT + 2 * n + 1, (u32)(entry >> 32));
	ioapic_write(i, REG_REDIRECT + 2 * n, (u32)entry);
}

void ioapic_pin_mask(u32 gsi, bool masked)
{
	u32 i, n, low;

	if (!pin_find(gsi, &i, &n))
		return;
	low = ioapic_read(i, REG_REDIRECT + 2 * n);
	ioapic_write(i, REG_REDIRECT + 2 * n, masked ? low | IOAPIC_MASKED : low & ~IOAPIC_MASKED);
}
