// SPDX-License-Identifier: MIT
// ACPI tables as firmware takes them from fw_cfg: one file of tables, and a script that says where in it are addresses.
#pragma once

#include "lib/types.h"

#define FW_ACPI_TABLES     "etc/acpi/tables"
#define FW_ACPI_RSDP       "etc/acpi/rsdp"
#define FW_ACPI_SCRIPT     "etc/table-loader"
#define FW_ACPI_RSDP_BYTES 36u
#define FW_ACPI_COMMAND    128u // bytes of a command of the script
#define FW_ACPI_ENTRIES    8u   // tables that the XSDT may name
#define FW_ACPI_SCRIPT_MAX ((FW_ACPI_ENTRIES + 9u) * FW_ACPI_COMMAND)

// Turns finished tables [tables, tables + size), made for the address `base` and led by their RSDP, into the file: every
// address that the XSDT and the FADT hold becomes an offset in the file, and the script (FW_ACPI_SCRIPT_MAX bytes) puts the
// addresses back where the firmware has put the file. Returns the script's length; 0: these are no such tables.
// A BIOS, unlike UEFI firmware, makes no RSDP of its own: with `rsdp` (FW_ACPI_RSDP_BYTES, else NULL) that is a second file,
// which the script puts below 1 MiB.
// Source: ACPI specification 6.4, chapter 5; QEMU, hw/acpi/bios-linker-loader.c (the commands' layout).
u32 fw_acpi_convert(u8 *tables, u32 size, u64 base, u8 *rsdp, u8 script[static FW_ACPI_SCRIPT_MAX]);
