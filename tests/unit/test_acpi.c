// SPDX-License-Identifier: MIT
// link: kernel/x86/acpi.c
// The reader of ACPI tables, on tables that are right and on tables that lie.
#include "tests/unit/test.h"
#include "tests/unit/acpi_tables.h"

static struct acpi_info info;

static bool read_tables(void)
{
	bool ok = acpi_read(&info, tables_rsdp, acpi_map_copy);

	copies_free();
	return ok;
}

static void check_pc(void)
{
	CHECK_EQ(info.cpu_count, 3);
	CHECK_EQ(info.cpus[0], 0);
	CHECK_EQ(info.cpus[1], 1);
	CHECK_EQ(info.cpus[2], 300);
	CHECK_EQ(info.lapic.v, 0xFEE00000);
	CHECK_EQ(info.ioapic_count, 1);
	CHECK_EQ(info.ioapics[0].base.v, 0xFEC00000);
	CHECK_EQ(info.isa[0].gsi, 2);
	CHECK_EQ(info.isa[4].gsi, 4);
	CHECK(info.isa[9].level && info.isa[9].active_low && !info.isa[0].level);
	CHECK_EQ(info.ecam_count, 1);
	CHECK_EQ(info.ecams[0].base.v, 0xB0000000);
	CHECK_EQ(info.ecams[0].last_bus, 255);
	CHECK_EQ(info.pm1a_control.address, 0x604);
	CHECK_EQ(info.pm1b_control.address, 0);
	CHECK_EQ(info.pm_timer.address, 0x608);
	CHECK(info.pm_timer_32);
	CHECK_EQ(info.smi_command, 0xB2);
	CHECK_EQ(info.reset.address, 0xCF9);
	CHECK_EQ(info.reset_value, 0x0F);
	CHECK_EQ(info.s5_a, 5);
	CHECK_EQ(info.s5_b, 1);
}

TEST(reads_a_pc_by_xsdt)
{
	tables_make_pc(true);
	CHECK(read_tables());
	check_pc();
}

TEST(reads_a_pc_by_rsdt)
{
	tables_make_pc(false);
	CHECK(read_tables());
	check_pc();
}

TEST(lists_its_tables)
{
	u64 tables[8];
	u32 n;

	for (u32 extended = 0; extended < 2; extended++) {
		tables_make_pc(extended);
		n = acpi_list(tables, 8, tables_rsdp, acpi_map_copy);
		copies_free();
		CHECK(n >= 3 && n < 8 && tables[0] && tables[n - 1]);
		CHECK_EQ(acpi_list(tables, 2, tables_rsdp, acpi_map_copy), 2);
		copies_free();
	}
}

TEST(falls_back_to_rsdt)
{
	u32 nowhere = TABLES_SIZE;

	tables_make_pc(false);
	tables_rsdp[15] = 2;
	memcpy(tables_rsdp + 24, &nowhere, 4);
	sum_fix(tables_rsdp, 20, 8);
	sum_fix(tables_rsdp, 36, 32);
	CHECK(read_tables());
	check_pc();
}

TEST(refuses_a_bad_pointer)
{
	tables_make_pc(true);
	tables_rsdp[8]++;
	CHECK(!read_tables());
	tables_make_pc(true);
	tables_rsdp[0] = 'X';
	CHECK(!read_tables());
	CHECK_EQ(info.cpu_count, 0);
	CHECK_EQ(info.s5_a, ACPI_NO_SLEEP);
}

TEST(skips_a_table_with_a_bad_sum)
{
	tables_make_pc(true);
	tables_memory[tables_root[1] + 9]++;
	CHECK(read_tables());
	CHECK_EQ(info.cpu_count, 0);
	CHECK_EQ(info.ecam_count, 1);
}

TEST(believes_no_table_length)
{
	static const u32 lengths[] = {
		0, 8, 35, 36, 37, 44, 0x10000, 0x100000, 0x7FFFFFFF, 0xFFFFFFFF};

	for (u32 t = 0; t < 3; t++)
		for (u32 i = 0; i < ARRAY_SIZE(lengths); i++) {
			u32 at;

			tables_make_pc(true);
			at = tables_root[t];
			put32(at + 4, lengths[i]);
			if (lengths[i] >= 36 && lengths[i] < 0x10000)
				sum_fix(tables_memory + at, lengths[i], 9);
			CHECK(read_tables());
			CHECK(t == 1 ? info.cpu_count == 0 : info.cpu_count == 3);
			CHECK(t == 2 ? info.ecam_count == 0 : info.ecam_count == 1);
		}
}

TEST(stops_at_an_entry_of_no_length)
{
	static const u8 madt[] = {
		0, 0, 0xE0, 0xFE, 0, 0, 0, 0, 0, 8, 0, 7, 1, 0, 0, 0, 0, 0, 0, 8, 0, 8, 1, 0, 0, 0};
	static const u8 cut[] = {0, 0, 0xE0, 0xFE, 0, 0, 0, 0, 0, 8, 0, 7, 1};

	tables_begin();
	table_add("APIC", madt, sizeof(madt), true);
	tables_end(true);
	CHECK(read_tables());
	CHECK_EQ(info.cpu_count, 1);
	CHECK_EQ(info.cpus[0], 7);
	tables_begin();
	table_add("APIC", cut, sizeof(cut), true);
	tables_end(true);
	CHECK(read_tables());
	CHECK_EQ(info.cpu_count, 0);
}

TEST(counts_what_does_not_fit)
{
	static u8 madt[8 + 100 * 8 + 20 * 12];
	u8 *p = madt + 8;

	for (u8 i = 0; i < 100; i++, p += 8)
		memcpy(p, (u8[]){0, 8, i, i, 1, 0, 0, 0}, 8);
	for (u8 i = 0; i < 20; i++, p += 12)
		memcpy(p, (u8[]){1, 12, i, 0, 0, 0, i, 0xFE, i, 0, 0, 0}, 12);
	tables_begin();
	table_add("APIC", madt, sizeof(madt), true);
	tables_end(true);
	CHECK(read_tables());
	CHECK_EQ(info.cpu_count, ACPI_MAX_CPUS);
	CHECK_EQ(info.cpus_left_out, 100 - ACPI_MAX_CPUS);
	CHECK_EQ(info.ioapic_count, ACPI_MAX_IOAPICS);
}

TEST(takes_a_cpu_once)
{
	static const u8 madt[] = {0, 0, 0xE0, 0xFE, 0, 0, 0, 0, 0, 8, 0, 5, 1, 0, 0, 0, 9, 16, 0, 0,
		5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0};

	tables_begin();
	table_add("APIC", madt, sizeof(madt), true);
	tables_end(true);
	CHECK(read_tables());
	CHECK_EQ(info.cpu_count, 1);
}

static void make_fadt(const u8 *dsdt, u32 size)
{
	u8 fadt[244 - 36] = {0};
	u32 at;

	tables_begin();
	at = table_add("DSDT", dsdt, size, false);
	memcpy(fadt + 4, &at, 4);
	table_add("FACP", fadt, sizeof(fadt), true);
	tables_end(true);
}

TEST(finds_power_off_at_the_very_end)
{
	static const u8 dsdt[] = {0, 0, 8, '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0, 1, 0, 0};

	make_fadt(dsdt, sizeof(dsdt));
	CHECK(read_tables());
	CHECK(info.s5_a == 0 && info.s5_b == 1);
	for (u32 cut = 1; cut < sizeof(dsdt); cut++) {
		make_fadt(dsdt, (u32)sizeof(dsdt) - cut);
		CHECK(read_tables());
		CHECK_EQ(info.s5_a, cut <= 3 ? 0 : ACPI_NO_SLEEP);
		CHECK_EQ(info.s5_b, cut <= 2 ? 1 : ACPI_NO_SLEEP);
	}
}

TEST(finds_no_power_off_in_other_names)
{
	// "_S5_" as a mere string, then a package whose first element is no number.
	static const u8 dsdt[] = {0x0D, '_', 'S', '5', '_', 0, 8, '_', 'S', '5', '_', 0x12, 4, 2,
		0x0B, 1, 0, 0, 0, 0};

	make_fadt(dsdt, sizeof(dsdt));
	CHECK(read_tables());
	CHECK_EQ(info.s5_a, ACPI_NO_SLEEP);
	CHECK_EQ(info.reset.address, 0);
}

TEST_MAIN()
