// SPDX-License-Identifier: MIT
// Memory, ACPI tables, where BARs shall lie, and the screen of a BIOS.
#include "devices/fw_tell.h"

#include "devices/fw_cfg_list.h"

#define RAM          1u // as in E820
#define E820_ENTRIES 2u
#define COM1         0x3f8u

static bool tell_memory(const struct fw_machine *m, struct fw_cfg_list *l)
{
	const struct {
		u64 start, size;
		u32 type;
	} __attribute__((packed)) e820[E820_ENTRIES] = {
		{0, m->ram_low, RAM},
		{4 * GiB, m->ram_high, RAM},
	};

	return fw_cfg_add(l, "etc/e820", e820, (m->ram_high ? 2 : 1) * (u32)sizeof(e820[0]));
}

// A BIOS without a graphics card shows what it and its guests say on a serial port.
static bool tell_bios(struct fw_cfg_list *l, const u8 *rsdp)
{
	const u16 serial = COM1;

	return fw_cfg_add(l, "etc/sercon-port", &serial, sizeof(serial)) &&
	       fw_cfg_add(l, FW_ACPI_RSDP, rsdp, FW_ACPI_RSDP_BYTES);
}

const char *fw_tell(struct fw_machine *m, void *area, u32 size)
{
	u8 rsdp[FW_ACPI_RSDP_BYTES];
	struct fw_cfg_list l;
	u32 n = fw_acpi_convert(
		m->tables, sizeof(m->tables), m->base, m->bios ? rsdp : NULL, m->script);

	if (!n)
		return "its ACPI tables do not suit firmware";
	fw_cfg_list_init(&l, area, size, m->cpus);
	if (fw_cfg_add(&l, FW_ACPI_TABLES, m->tables, sizeof(m->tables)) &&
		fw_cfg_add(&l, FW_ACPI_SCRIPT, m->script, n) && tell_memory(m, &l) &&
		fw_cfg_add(&l, "opt/ovmf/X-PciMmio64Mb", "0", 1) && // BARs lie below 4 GiB
		(!m->bios || tell_bios(&l, rsdp)))
		return NULL;
	return "what its firmware is told finds no room";
}
