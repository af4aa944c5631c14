// SPDX-License-Identifier: MIT
// ACPI tables as a guest finds them: by the RSDP in the BIOS area. Source: ACPI 6.4 chapter 5.
#pragma once

#include "lib/types.h"

struct __attribute__((packed)) acpi_header {
	char signature[4];
	u32 length;
	u8 revision, checksum;
	char oem[6], oem_table[8];
	u32 oem_revision, creator, creator_revision;
};

// The table with this signature and a right checksum, or NULL.
const struct acpi_header *acpi_table(const char *signature);

// Where the RSDP stands; 0: there is none.
u64 acpi_rsdp(void);

// Fields of the FADT (0 where there is no FADT or it is too short) and the DSDT it names.
u64 fadt_field(u32 offset, u32 bytes);
const struct acpi_header *acpi_dsdt(void);

#define FADT_PM1A_EVT     56
#define FADT_PM1A_CNT     64
#define FADT_PM_TIMER     76
#define FADT_FLAGS        112
#define FADT_RESET_REG    116 // a generic address; the register's address is 4 bytes on
#define FADT_RESET_VAL    128
#define FADT_FLAG_RESET   BIT(10)
#define FADT_FLAG_TIMER32 BIT(8)

// The global interrupt that an ISA interrupt is wired to, by the MADT's overrides.
u32 acpi_gsi(u32 irq);
