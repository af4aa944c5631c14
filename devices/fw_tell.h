// SPDX-License-Identifier: MIT
// What a virtual machine tells its firmware: fills fw_cfg's items.
#pragma once

#include "devices/fw_cfg_acpi.h"

#define FW_TELL_AREA   (32 * KiB) // is enough
#define FW_TELL_TABLES (8 * KiB)

struct fw_machine {
	u16 cpus;
	bool bios;             // else UEFI
	u64 ram_low, ram_high; // bytes of RAM from 0, from 4 GiB
	// The ACPI tables as other kernels find them, led by their RSDP, made for the address `base`; changed by the call.
	u8 tables[FW_TELL_TABLES];
	u64 base;
	u8 script[FW_ACPI_SCRIPT_MAX]; // for the call
};

// Fills [area, area + size). NULL, or why not.
const char *fw_tell(struct fw_machine *m, void *area, u32 size);
