// SPDX-License-Identifier: MIT
// The root VM's memory: what it gets of the machine, what its memory map says, and what it may map beside it.
// link: kernel/micro/root_memory.c kernel/vm/gmap.c kernel/core/frame.c tests/unit/fake/arch.c
#include "tests/unit/test.h"
#include "drivers/amd_iommu/amd_iommu.h"
#include "kernel/core/boot_info.h"
#include "kernel/core/frame.h"
#include "kernel/core/pcpu.h"
#include "kernel/micro/root.h"
#include "kernel/vm/loader_parts.h"
#include "kernel/x86/acpi.h"
#include "kernel/x86/hvm.h"

#define RAM (32 * MiB)

static const struct hvm_ops ops = {.pte_table = 0x7, .pte_leaf_rwx = 0x7, .pte_large = 0x80};
const struct hvm_ops *hvm = &ops;
struct acpi_info acpi_info;

static struct boot_info machine;
static struct bundle_vm config;
static struct vm vm;
static void *pool;

// What the VM is given of an answer.
s64 root_give(struct vcpu *v, const void *from, size_t size, gpa_t buffer, u64 room)
{
	(void)v;
	CHECK(room == size);
	memcpy((void *)buffer.v, from, size);
	return (s64)size;
}

// The IOMMU's registers are kept from the VM, too.
bool amd_iommu_has(u64 at)
{
	return at >= 0xfed80000 && at < 0xfed84000;
}

static void range(u64 start, u64 end, u32 type)
{
	machine.map[machine.map_count++] = (struct boot_range){start, end, type};
}

// RAM with a hole for the kernel at 2 MiB and, if `hole`, somebody's frame at 10 MiB.
static void start(u64 memory, bool hole)
{
	fake_reset(1);
	fake_ram(RAM);
	free(pool);
	pool = malloc(frame_bookkeeping_size(hpa(RAM)));
	frame_init(hpa(RAM), pool);
	frame_add_range(hpa(3 * MiB), hpa(hole ? 10 * MiB : RAM));
	if (hole)
		frame_add_range(hpa(10 * MiB + PAGE_SIZE), hpa(RAM));
	machine.map_count = 0;
	range(0, 0x9fc00, BOOT_RAM);
	range(0x9fc00, 0xa0000, BOOT_RESERVED);
	range(MiB, RAM, BOOT_RAM);
	range(0xb0000000, 0xc0000000, BOOT_RESERVED);
	acpi_info = (struct acpi_info){.lapic = hpa(0xfee00000), .ioapic_count = 1};
	acpi_info.ioapics[0].base = hpa(0xfec00000);
	config = (struct bundle_vm){.is_root = true, .memory = memory};
	vm = (struct vm){.id = 1, .config = &config};
	CHECK(!gmap_init(&vm.gmap, 1));
}

static void check_entry(const struct memory_entry *e, u64 start_, u64 end_, u32 type)
{
	CHECK_EQ(e->start, start_);
	CHECK_EQ(e->start + e->size, end_);
	CHECK_EQ(e->type, type);
}

TEST(one_piece)
{
	struct memory_entry map[MEMORY_ENTRIES];
	unsigned n;

	start(8 * MiB, false);
	CHECK(!root_memory_take(&vm, &machine));
	CHECK_EQ(vm.gmap.ranges, 2);
	CHECK(vm.gmap.ram[1].start == 4 * MiB && vm.gmap.ram[1].end == 12 * MiB);
	CHECK_EQ(vm.ram_low, 12 * MiB - ROOT_ACPI_SIZE);
	CHECK_EQ(frame_owned(1), 8 * MiB / PAGE_SIZE + 1);
	n = root_memory_map(&vm, map, MEMORY_ENTRIES);
	CHECK_EQ(n, 9);
	check_entry(&map[0], 0, 0x1000, MEMORY_RESERVED);
	check_entry(&map[1], 0x1000, 0x9f000, MEMORY_RAM);
	check_entry(&map[2], 0x9f000, 0x9fc00, MEMORY_RESERVED);
	check_entry(&map[3], 0x9fc00, 0xa0000, BOOT_RESERVED);
	check_entry(&map[4], MiB, 4 * MiB, MEMORY_RESERVED);
	check_entry(&map[5], 4 * MiB, 12 * MiB - ROOT_ACPI_SIZE, MEMORY_RAM);
	check_entry(&map[6], 12 * MiB - ROOT_ACPI_SIZE, 12 * MiB, BOOT_ACPI);
	check_entry(&map[7], 12 * MiB, RAM, MEMORY_RESERVED);
	check_entry(&map[8], 0xb0000000, 0xc0000000, BOOT_RESERVED);
	CHECK_EQ(root_memory_map(&vm, map, 4), 4);
	CHECK(gmap_ptr(&vm.gmap, 5 * MiB) == hpa_to_va(hpa(5 * MiB)));
	gmap_destroy(&vm.gmap);
}

TEST(around_what_is_somebodys)
{
	struct memory_entry map[MEMORY_ENTRIES];

	start(24 * MiB, true);
	CHECK(!root_memory_take(&vm, &machine)); // the longest first
	CHECK_EQ(vm.gmap.ranges, 3);
	CHECK(vm.gmap.ram[1].start == 4 * MiB && vm.gmap.ram[1].end == 8 * MiB);
	CHECK(vm.gmap.ram[2].start == 12 * MiB && vm.gmap.ram[2].end == 32 * MiB);
	CHECK_EQ(vm.ram_low, 32 * MiB - ROOT_ACPI_SIZE); // where the kernel is loaded
	CHECK_EQ(root_acpi_place(&vm), 32 * MiB - ROOT_ACPI_SIZE);
	CHECK(!gmap_is_ram(&vm.gmap, 10 * MiB));
	CHECK_EQ(gmap_ram_left(&vm.gmap, 5 * MiB), 3 * MiB);
	CHECK_EQ(gmap_ram_left(&vm.gmap, 8 * MiB), 0);
	CHECK_EQ(root_memory_map(&vm, map, MEMORY_ENTRIES), 10);
	check_entry(&map[5], 4 * MiB, 8 * MiB, MEMORY_RAM);
	check_entry(&map[6], 8 * MiB, 12 * MiB, MEMORY_RESERVED);
	check_entry(&map[7], 12 * MiB, 32 * MiB - ROOT_ACPI_SIZE, MEMORY_RAM);
	check_entry(&map[8], 32 * MiB - ROOT_ACPI_SIZE, 32 * MiB, BOOT_ACPI);
	gmap_destroy(&vm.gmap);
	start(12 * MiB, true); // all of it has room above
	CHECK(!root_memory_take(&vm, &machine));
	CHECK_EQ(vm.gmap.ranges, 2);
	CHECK(vm.gmap.ram[1].start == 12 * MiB && vm.gmap.ram[1].end == 24 * MiB);
	gmap_destroy(&vm.gmap);
}

TEST(too_much)
{
	start(64 * MiB, false);
	CHECK(root_memory_take(&vm, &machine) != NULL);
	start(3 * MiB, false);
	CHECK(root_memory_take(&vm, &machine) != NULL); // half a block
}

TEST(devices)
{
	start(8 * MiB, false);
	CHECK(!root_memory_take(&vm, &machine));
	CHECK(root_map_device(&vm, 0xfebc1234));
	CHECK(!root_map_device(&vm, 0xfee00300)); // the APICs are virtual
	CHECK(!root_map_device(&vm, 0xfec00010));
	CHECK(root_map_device(&vm, 0xfed00000)); // beside them in its block
	CHECK(!root_map_device(&vm, 0xfed80018));
	CHECK(root_map_device(&vm, 0xf0000));  // the BIOS
	CHECK(!root_map_device(&vm, 3 * MiB)); // RAM of others
	CHECK(!root_map_device(&vm, 20 * MiB));
	CHECK(!root_map_device(&vm, 0x9f800));
	CHECK(!root_map_device(&vm, 0x9fc00)); // on the same page
	CHECK(!gmap_look(&vm.gmap, 0xfebc1234) && !gmap_look(&vm.gmap, 0xf0000));
	gmap_destroy(&vm.gmap);
}

TEST_MAIN()
