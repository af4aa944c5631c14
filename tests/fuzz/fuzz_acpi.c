// SPDX-License-Identifier: MIT
// The reader of ACPI tables: a PC's tables with bytes changed where the input says, their checksums
// then put right (or not). Every view of memory is a copy of just its size, so a read beyond it is
// found.
//
// link: kernel/x86/acpi.c
#include "tests/unit/acpi_tables.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define REQUIRE(cond)                                                                              \
	do {                                                                                       \
		if (!(cond))                                                                       \
			abort();                                                                   \
	} while (0)

// The header's own length counts, if the memory holds so much.
static void fix_table(u32 at)
{
	u32 length;

	memcpy(&length, tables_memory + at + 4, 4);
	if (length >= 10 && length <= TABLES_SIZE - at)
		sum_fix(tables_memory + at, length, 9);
}

static void check(const struct acpi_info *info)
{
	REQUIRE(info->cpu_count <= ACPI_MAX_CPUS);
	REQUIRE(info->ioapic_count <= ACPI_MAX_IOAPICS);
	REQUIRE(info->ecam_count <= ACPI_MAX_ECAMS);
	REQUIRE(info->s5_a <= 7 || info->s5_a == ACPI_NO_SLEEP);
	REQUIRE(info->s5_b <= 7 || info->s5_b == ACPI_NO_SLEEP);
	for (u32 i = 0; i < info->ecam_count; i++)
		REQUIRE(info->ecams[i].first_bus <= info->ecams[i].last_bus);
	for (u32 i = 0; i < info->cpu_count; i++)
		for (u32 j = 0; j < i; j++)
			REQUIRE(info->cpus[i] != info->cpus[j]);
}

// The first byte: bit 0 chooses XSDT or RSDT, bit 1 leaves checksums wrong. Then three bytes a
// change: place and value.
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct acpi_info info;
	u8 how = size ? data[0] : 0;

	tables_make_pc(how & 1);
	for (size_t i = 1; i + 3 <= size; i += 3) {
		u32 at = (u32)(data[i] | data[i + 1] << 8) %
			 (tables_next - 0x1000 + (u32)sizeof(tables_rsdp));

		if (at < sizeof(tables_rsdp))
			tables_rsdp[at] = data[i + 2];
		else
			tables_memory[0x1000 + at - sizeof(tables_rsdp)] = data[i + 2];
	}
	if (!(how & 2)) {
		fix_table(0x1000); // the DSDT is the first
		for (u32 i = 0; i < tables_count; i++)
			fix_table(tables_root[i]);
		fix_table(root_table);
		sum_fix(tables_rsdp, 20, 8);
		sum_fix(tables_rsdp, 36, 32);
	}
	acpi_read(&info, tables_rsdp, acpi_map_copy);
	check(&info);
	copies_free();
	return 0;
}
