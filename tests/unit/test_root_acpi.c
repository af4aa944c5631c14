// SPDX-License-Identifier: MIT
// The ACPI tables of the root VM: the machine's, but for IOMMUs, and with the VM's own processors.
// link: kernel/micro/root_acpi.c kernel/x86/acpi.c tests/unit/fake/arch.c
#include "tests/unit/test.h"
#include "tests/unit/acpi_tables.h"
#include "kernel/core/boot_info.h"
#include "kernel/core/pcpu.h"
#include "kernel/micro/root.h"
#include "kernel/x86/paging.h"

#define RAM   (256 * KiB)
#define PLACE (128 * KiB)
#define SIZE  (16 * KiB)

static struct boot_info machine;
static struct vm vm;

// The machine's tables lie below TABLES_SIZE, the VM's in memory above.
const void *paging_map_firmware(hpa_t a, size_t size)
{
	return a.v < TABLES_SIZE ? acpi_map_copy(a, size) : a.v + size <= RAM ? hpa_to_va(a) : NULL;
}

static u64 write(u32 first, u32 count, u64 size)
{
	static const u8 ivrs[12] = {0};
	u64 at;

	fake_reset(1);
	fake_ram(RAM);
	tables_make_pc(true);
	table_add("IVRS", ivrs, sizeof(ivrs), true);
	tables_end(true);
	memcpy(machine.rsdp, tables_rsdp, sizeof(machine.rsdp));
	vm.apic_first = first;
	vm.vcpu_count = count;
	at = root_acpi_write(&vm, &machine, PLACE, size);
	copies_free();
	return at;
}

// What a guest reads from there.
static bool read_back(struct acpi_info *info, u64 rsdp)
{
	bool ok = acpi_read(info, hpa_to_va(hpa(rsdp)), paging_map_firmware);

	copies_free();
	return ok;
}

TEST(own_processors)
{
	struct acpi_info info;
	u64 rsdp = write(1, 1, SIZE);

	CHECK(rsdp >= PLACE && rsdp < PLACE + SIZE);
	CHECK(read_back(&info, rsdp));
	CHECK_EQ(info.cpu_count, 1);
	CHECK_EQ(info.cpus[0], 1);
	CHECK_EQ(info.ioapic_count, 1);
	CHECK_EQ(info.isa[0].gsi, 2);
	CHECK_EQ(info.ecam_count, 1);
	CHECK_EQ(info.s5_a, 5);
	CHECK(!info.ivrs);
	CHECK(read_back(&info, write(0, 2, SIZE)));
	CHECK_EQ(info.cpu_count, 2);
	CHECK(read_back(&info, write(300, 1, SIZE)));
	CHECK(info.cpu_count == 1 && info.cpus[0] == 300);
}

TEST(nothing_without_room_or_tables)
{
	CHECK_EQ(write(0, 1, 128), 0); // not even for the root table
	memset(machine.rsdp, 0, sizeof(machine.rsdp));
	CHECK_EQ(root_acpi_write(&vm, &machine, PLACE, SIZE), 0);
}

TEST_MAIN()
