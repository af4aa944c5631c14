// SPDX-License-Identifier: MIT
// The reader of ACPI tables: a PC's tables with bytes changed where the input says, their checksums
// then put right (or not). Every view of memory is a copy of just its size, so a read beyond it is
// found.
//
// link: kernel/x86/acpi.c
// fuzz: -max_len=512
#include "tests/fuzz/input.h"
#include "tests/unit/acpi_tables.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define FIRST    0x1000u // where tables begin
#define ROOM     0x800u  // for them
#define RSDP_LEN ((u32)sizeof(tables_rsdp))

// Good tables: with an RSDT and with an XSDT.
static struct {
	u8 tables[ROOM], rsdp[sizeof(tables_rsdp)];
	u32 next;
} good[2];

static void make_all(void)
{
	for (unsigned i = 0; i < 2; i++) {
		tables_make_pc(i);
		MUST(tables_next <= FIRST + ROOM);
		memcpy(good[i].tables, tables_memory + FIRST, ROOM);
		memcpy(good[i].rsdp, tables_rsdp, sizeof(tables_rsdp));
		good[i].next = tables_next;
	}
}

// Nothing outside of these was changed, and the tables lie where they do with either root.
static void make(unsigned kind)
{
	memcpy(tables_memory + FIRST, good[kind].tables, ROOM);
	memcpy(tables_rsdp, good[kind].rsdp, sizeof(tables_rsdp));
	tables_next = good[kind].next;
}

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
	MUST(info->cpu_count <= ACPI_MAX_CPUS);
	MUST(info->ioapic_count <= ACPI_MAX_IOAPICS);
	MUST(info->ecam_count <= ACPI_MAX_ECAMS);
	MUST(info->s5_a <= 7 || info->s5_a == ACPI_NO_SLEEP);
	MUST(info->s5_b <= 7 || info->s5_b == ACPI_NO_SLEEP);
	for (u32 i = 0; i < info->ecam_count; i++)
		MUST(info->ecams[i].first_bus <= info->ecams[i].last_bus);
	for (u32 i = 0; i < info->cpu_count; i++)
		for (u32 j = 0; j < i; j++)
			MUST(info->cpus[i] != info->cpus[j]);
}

// The first byte: bit 0 chooses XSDT or RSDT, bit 1 leaves checksums wrong. Then three bytes a
// change: place and value.
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct acpi_info info;
	struct input in = {data, size};
	u8 how = input_u8(&in);

	if (!good[0].next)
		make_all();
	make(how & 1);
	while (in.left >= 3) {
		u32 at = input_u16(&in) % (tables_next - FIRST + RSDP_LEN);

		if (at < RSDP_LEN)
			tables_rsdp[at] = input_u8(&in);
		else
			tables_memory[FIRST + at - RSDP_LEN] = input_u8(&in);
	}
	if (!(how & 2)) {
		fix_table(FIRST); // the DSDT is the first
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
