// SPDX-License-Identifier: MIT
// The guest's ACPI tables: found, linked, with right sums; iasl reads them where it is installed.
// link: kernel/vm/acpi_tables.c kernel/core/timer.c tests/unit/fake/arch.c
#include "kernel/vm/acpi_tables.h"
#include "tests/unit/guest_ram_fake.h"

static u64 rsdp;

static int setup_io(u32 vcpus, u32 io)
{
	gpa_t at;
	int err;

	pc_fake_reset();
	guest_ram_make(2 * MiB, 0);
	vm.vcpu_count = vcpus;
	config.io_count = io;

	err = acpi_tables_write(&vm, &at);
	rsdp = at.v;
	return err;
}

static int setup(u32 vcpus)
{
	return setup_io(vcpus, 0);
}

static u8 sum(u64 at, u64 size)
{
	u8 total = 0;

	for (u64 i = 0; i < size; i++)
		total = (u8)(total + guest_ram[at + i]);
	return total;
}

// The table with this signature among the XSDT's; 0.
static u64 find(const char *signature)
{
	u64 xsdt = ram64(rsdp + 24);

	for (u64 at = xsdt + 36; at < xsdt + ram32(xsdt + 4); at += 8)
		if (!memcmp(guest_ram + ram64(at), signature, 4))
			return ram64(at);
	return 0;
}

static void check_table(u64 at, const char *signature)
{
	CHECK(at >= GPA_BIOS && at < GPA_BIOS_END);
	CHECK(!memcmp(guest_ram + at, signature, 4));
	CHECK(ram32(at + 4) >= 36 && at + ram32(at + 4) <= GPA_BIOS_END);
	CHECK_EQ(sum(at, ram32(at + 4)), 0);
}

TEST(rsdp_and_roots)
{
	CHECK_EQ(setup(1), 0);
	CHECK_EQ(rsdp, 0xe0000); // where a search of the BIOS area begins
	CHECK(!memcmp(guest_ram + rsdp, "RSD PTR ", 8));
	CHECK_EQ(sum(rsdp, 20), 0);
	CHECK_EQ(sum(rsdp, 36), 0);
	CHECK_EQ(guest_ram[rsdp + 15], 2);
	check_table(ram32(rsdp + 16), "RSDT");
	check_table(ram64(rsdp + 24), "XSDT");
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(
			ram32(ram32(rsdp + 16) + 36 + 4 * i), ram64(ram64(rsdp + 24) + 36 + 8 * i));
}

TEST(fadt)
{
	u64 fadt;

	setup(1);
	fadt = find("FACP");
	check_table(fadt, "FACP");
	check_table(ram32(fadt + 40), "DSDT");
	CHECK_EQ(ram32(fadt + 40), ram64(fadt + 140));
	CHECK_EQ(ram32(fadt + 36) % 64, 0);
	CHECK(!memcmp(guest_ram + ram32(fadt + 36), "FACS", 4));
	CHECK_EQ(ram32(ram32(fadt + 36) + 4), 64);
	CHECK_EQ(ram32(fadt + 46) & 0xffff, 9); // SCI
	CHECK_EQ(ram32(fadt + 48), 0);          // no SMI command
	CHECK_EQ(ram32(fadt + 56), VPM_PORT);
	CHECK_EQ(ram32(fadt + 64), VPM_PORT_CNT);
	CHECK_EQ(ram32(fadt + 76), VPM_PORT_TMR);
	CHECK_EQ(guest_ram[fadt + 88], 4);
	CHECK_EQ(guest_ram[fadt + 89], 2);
	CHECK_EQ(guest_ram[fadt + 91], 4);
	CHECK_EQ(guest_ram[fadt + 108], 0x32);      // century
	CHECK_EQ(ram32(fadt + 109) & 0xffff, 0x15); // no 8042, no VGA
	CHECK_EQ(ram32(fadt + 112) & BIT(4), 0);    // a fixed power button
	CHECK_EQ(ram64(fadt + 120), PC_PORT_RESET);
	CHECK_EQ(guest_ram[fadt + 128], PC_RESET_VALUE);
	CHECK_EQ(ram64(fadt + 152), VPM_PORT); // X_PM1a_EVT
	CHECK_EQ(ram64(fadt + 212), VPM_PORT_TMR);
}

// Where there are disks or cards there is a place for a second processor.
TEST(madt_has_a_second_place)
{
	u64 madt;

	CHECK_EQ(setup_io(1, 1), 0);
	madt = find("APIC");
	check_table(madt, "APIC");
	CHECK_EQ(ram32(madt + 44), 0x0800);
	CHECK_EQ(ram32(madt + 48), 1); // enabled
	CHECK_EQ(ram32(madt + 52), 0x01010800);
	CHECK_EQ(ram32(madt + 56), 2); // not enabled, online capable
	CHECK(guest_ram[madt + 60] != 0);
	CHECK_EQ(setup_io(2, 1), 0);
	madt = find("APIC");
	CHECK_EQ(ram32(madt + 48), 1);
	CHECK_EQ(ram32(madt + 56), 1);
	CHECK(guest_ram[madt + 60] != 0);
}

TEST(madt_lists_every_cpu)
{
	for (u32 cpus = 1; cpus <= BUNDLE_MAX_VCPUS; cpus += 7) {
		u64 madt, at, end;
		unsigned lapics = 0, ioapics = 0, overrides = 0, nmis = 0;

		CHECK_EQ(setup(cpus), 0);
		madt = find("APIC");
		check_table(madt, "APIC");
		CHECK_EQ(ram32(madt + 36), GPA_LAPIC);
		end = madt + ram32(madt + 4);
		for (at = madt + 44; at < end; at += guest_ram[at + 1]) {
			if (!guest_ram[at + 1])
				break;
			lapics += guest_ram[at] == 0 && guest_ram[at + 3] == lapics &&
				  ram32(at + 4) == 1;
			ioapics += guest_ram[at] == 1 && ram32(at + 4) == GPA_IOAPIC;
			if (guest_ram[at] == 2 && guest_ram[at + 3] == 0)
				overrides += ram32(at + 4) == 2;
			if (guest_ram[at] == 2 && guest_ram[at + 3] == 9)
				overrides += ram32(at + 4) == 9;
			nmis += guest_ram[at] == 4 && guest_ram[at + 2] == 0xff &&
				guest_ram[at + 5] == 1;
		}
		CHECK_EQ(at, end);
		CHECK_EQ(lapics, cpus);
		CHECK_EQ(ioapics, 1);
		CHECK_EQ(overrides, 2);
		CHECK_EQ(nmis, 1);
	}
}

TEST(mcfg)
{
	u64 mcfg;

	setup(1);
	mcfg = find("MCFG");
	check_table(mcfg, "MCFG");
	CHECK_EQ(ram32(mcfg + 4), 60);
	CHECK_EQ(ram64(mcfg + 44), GPA_ECAM);
	CHECK_EQ(ram32(mcfg + 52), 0); // segment 0, bus 0 to 0
}

TEST(no_memory_is_an_error)
{
	gpa_t at;

	pc_fake_reset();
	guest_ram_make(MiB / 2, 0);
	vm.vcpu_count = 1;
	CHECK(acpi_tables_write(&vm, &at) != 0);
}

static int shell(const char *command)
{
	return system(command);
}

TEST(iasl_reads_them)
{
	static const char *const names[] = {"FACP", "APIC", "MCFG", "DSDT", "XSDT", "RSDT"};
	char dir[] = "/tmp/acpi-XXXXXX", command[256], path[128];

	if (shell("command -v iasl >/dev/null"))
		return;
	setup(4);
	CHECK(mkdtemp(dir));
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		u64 at = i == 3   ? ram32(find("FACP") + 40)
			 : i == 4 ? ram64(rsdp + 24)
			 : i == 5 ? ram32(rsdp + 16)
				  : find(names[i]);
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		f = fopen(path, "wb");
		CHECK(f && fwrite(guest_ram + at, ram32(at + 4), 1, f) == 1);
		if (f)
			fclose(f);
		snprintf(command, sizeof(command),
			"cd %s && iasl -d %s >%s.log 2>&1 && test -s %s.dsl && ! grep -Eqi 'error|warning|invalid|unknown' %s.log",
			dir, names[i], names[i], names[i], names[i]);
		CHECK_EQ(shell(command), 0);
	}
	snprintf(command, sizeof(command), "rm -r %s", dir);
	shell(command);
}

TEST_MAIN()
