// SPDX-License-Identifier: MIT
#include "backend/firmware.h"

#include <string.h>

#include "devices/fw_tell.h"

#define TABLES 0xe0000u // where the kernel of Mezzanine has put the VM's ACPI tables

const char *firmware_tell(struct mezz_firmware *area, const struct mezz_vm *vm, const u8 *low,
	u64 ram_low, u64 ram_high)
{
	static struct fw_machine m;

	m = (struct fw_machine){
		.cpus = (u16)vm->vcpus,
		.bios = area->bios,
		.ram_low = ram_low,
		.ram_high = ram_high,
		.base = TABLES,
	};
	memcpy(m.tables, low + TABLES, sizeof(m.tables));
	return fw_tell(
		&m, (u8 *)area + MEZZ_FIRMWARE_ITEMS, MEZZ_FIRMWARE_VARS - MEZZ_FIRMWARE_ITEMS);
}
