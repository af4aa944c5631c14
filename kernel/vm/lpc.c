// SPDX-License-Identifier: MIT
// The LPC bridge: constant registers; fw_cfg's ports, the flash and the ECAM as BARs that are always at the same places.
//
// Source: Intel I/O Controller Hub 9 data sheet, section 13.1 (PMBASE, ACPI_CNTL).
#include "kernel/vm/lpc.h"
#include "kernel/vm/vm.h"

#include "lib/string.h"

#define VENDOR      0x8086u
#define DEVICE      0x2918u // ICH9
#define CLASS       0x0601u // a bridge to ISA
#define PMBASE      0x40u
#define PMBASE_IO   1u
#define ACPI_CNTL   0x44u
#define ACPI_ENABLE 0x80u
#define PORTS       16u

static u32 lpc_config_read(void *dev, unsigned offset, unsigned size)
{
	static const u32 registers[] = {
		[PCI_VENDOR_ID / 4] = VENDOR | DEVICE << 16,
		[PCI_COMMAND / 4] = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER,
		[PCI_REVISION_ID / 4] = CLASS << 16,
		[PMBASE / 4] = VPM_PORT | PMBASE_IO,
		[ACPI_CNTL / 4] = ACPI_ENABLE,
	};
	u32 value = 0;

	(void)dev;
	if (offset + size <= sizeof(registers))
		memcpy(&value, (const u8 *)registers + offset, size);
	return value;
}

static void lpc_config_write(void *dev, unsigned offset, unsigned size, u32 value)
{
	(void)dev, (void)offset, (void)size, (void)value;
}

enum { BAR_FW_CFG, BAR_ECAM, BAR_FLASH, BARS };

static struct pci_bar lpc_bar(void *dev, unsigned bar)
{
	static const struct pci_bar bars[BARS] = {
		[BAR_FW_CFG] = {.addr = LPC_FW_CFG_PORT, .size = PORTS, .io = true, .fixed = true},
		[BAR_ECAM] = {.addr = LPC_ECAM, .size = GPA_ECAM_SIZE, .fixed = true},
	};

	const struct lpc *l = dev;

	if (bar == BAR_FLASH && l->flash)
		return (struct pci_bar){
			.addr = l->flash->at, .size = l->flash->size, .fixed = true};
	return bar < BARS ? bars[bar] : (struct pci_bar){0};
}

static u64 lpc_bar_read(void *dev, unsigned bar, u64 offset, unsigned size)
{
	struct lpc *l = dev;

	if (bar == BAR_FW_CFG)
		return fw_cfg_read(&l->fw_cfg, offset, size);
	if (bar == BAR_FLASH)
		return pflash_read(&l->flash->chip, offset, size);
	return size > 4 ? ~0ull : vpci_ecam_read(l->bus, (u32)offset, size);
}

static void lpc_bar_write(void *dev, unsigned bar, u64 offset, unsigned size, u64 value)
{
	struct lpc *l = dev;

	if (bar == BAR_FW_CFG)
		fw_cfg_write(&l->fw_cfg, offset, size, (u32)value);
	else if (bar == BAR_FLASH)
		pflash_write(&l->flash->chip, offset, size, value);
	else if (size <= 4)
		vpci_ecam_write(l->bus, (u32)offset, size, (u32)value);
}

static void lpc_reset(void *dev)
{
	struct lpc *l = dev;

	fw_cfg_write(&l->fw_cfg, FW_CFG_SELECTOR, 2, 0);
}

const struct pci_function_ops lpc_ops = {
	.config_read = lpc_config_read,
	.config_write = lpc_config_write,
	.bar = lpc_bar,
	.bar_read = lpc_bar_read,
	.bar_write = lpc_bar_write,
	.reset = lpc_reset,
};
