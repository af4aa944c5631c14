// SPDX-License-Identifier: MIT
// link: kernel/x86/boot_info.c kernel/x86/boot_multiboot2.c kernel/x86/boot_pvh.c
// link: tests/unit/fake/arch.c
//
// The readers of what boot loaders tell, Multiboot2 and PVH.
#include "tests/unit/test.h"
#include "kernel/x86/boot.h"
#include "arch.h"

#define RAM_SIZE (4 * MiB)
#define AT       0x10000u

static struct boot_info info;
static u8 *ram;
static u32 end; // of the Multiboot2 information

static void begin(void)
{
	fake_reset(1);
	ram = fake_ram(RAM_SIZE);
	memset(ram, 0, RAM_SIZE);
	memset(&info, 0, sizeof(info));
	info.module = HPA_NONE;
	end = AT + 8;
}

const void *boot_reach(u64 a, u64 size)
{
	CHECK(size <= 2 * MiB);
	CHECK(a < 4 * GiB && size <= 4 * GiB - a);
	return hpa_to_va(hpa(a));
}

static void tag(u32 type, const void *body, u32 size)
{
	u32 total = size + 8;

	memcpy(ram + end, &type, 4);
	memcpy(ram + end + 4, &total, 4);
	if (size)
		memcpy(ram + end + 8, body, size);
	end = (end + total + 7) & ~7u;
}

static bool read_tags(void)
{
	u32 size;

	tag(0, NULL, 0);
	size = end - AT;
	memcpy(ram + AT, &size, 4);
	return boot_read_multiboot2(&info, hpa(AT));
}

TEST(multiboot2_reads_all_tags)
{
	struct {
		u32 entry_size, version;
		struct {
			u64 start, size;
			u32 type, zero;
		} entry[4];
	} map = {24, 0,
		{{0, 0x9F000, 1, 0}, {MiB, MiB, 1, 0}, {2 * MiB, MiB, 1, 0}, {4 * MiB, 0, 1, 0}}};
	u32 module[3] = {0x200000, 0x200123, 0}, second[3] = {0x300000, 0x300001, 0};
	struct {
		u64 base;
		u32 pitch, width, height;
		u8 bits, type, rest[6];
	} screen = {0xFD000000, 3200, 800, 600, 32, 1, {0}};

	begin();
	tag(1, "console=frames x", 17);
	tag(99, "unknown", 7);
	tag(3, module, sizeof(module));
	tag(3, second, sizeof(second));
	tag(6, &map, sizeof(map));
	tag(8, &screen, sizeof(screen));
	tag(14, "RSD PTR old...", 14);
	tag(15, "RSD PTR new.........................", 36);
	tag(14, "RSD PTR old...", 14);
	CHECK(read_tags());
	CHECK(strcmp(info.cmdline, "console=frames x") == 0);
	CHECK_EQ(info.module.v, 0x200000);
	CHECK_EQ(info.module_size, 0x123);
	CHECK_EQ(info.map_count, 2); // neighbours joined, the empty one left out
	CHECK_EQ(info.map[1].end, 3 * MiB);
	CHECK(info.screen.kind == BOOT_SCREEN_PIXELS && info.screen.pitch == 3200);
	CHECK(memcmp(info.rsdp, "RSD PTR new", 11) == 0);
}

TEST(multiboot2_refuses_sizes_that_make_no_sense)
{
	u32 bad[] = {0, 7, 0xFFFFFFFF, 0x10000};

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		begin();
		tag(1, "line", 5);
		memcpy(ram + AT + 8 + 4, &bad[i], 4);
		CHECK(!read_tags());
	}
	begin();
	CHECK(!boot_read_multiboot2(&info, hpa(AT)));
}

TEST(multiboot2_cuts_what_is_too_long)
{
	static char line[5000];
	struct {
		u32 entry_size, version;
		struct {
			u64 start, size;
			u32 type, zero;
		} entry[300];
	} map = {24, 0, {{0}}};

	memset(line, 'a', sizeof(line));
	for (u32 i = 0; i < 300; i++) {
		map.entry[i].start = i * 0x2000;
		map.entry[i].size = 0x1000;
		map.entry[i].type = i;
	}
	begin();
	tag(1, line, sizeof(line));
	tag(6, &map, sizeof(map));
	CHECK(read_tags());
	CHECK_EQ(strlen(info.cmdline), BOOT_CMDLINE_MAX - 1);
	CHECK_EQ(info.map_count, BOOT_MAP_MAX);
	CHECK_EQ(info.map[0].type, BOOT_RESERVED); // types unknown to us are nobody's RAM
	CHECK_EQ(info.map[1].type, BOOT_RAM);
	CHECK_EQ(info.map[100].type, BOOT_RESERVED);
	begin();
	map.entry_size = 0; // would never end
	tag(6, &map, sizeof(map));
	CHECK(read_tags());
	CHECK_EQ(info.map_count, 0);
}

TEST(map_refuses_what_wraps)
{
	begin();
	boot_map_add(&info, ~0ull - 100, 1000, BOOT_RAM);
	boot_map_add(&info, 5, ~0ull, BOOT_RAM);
	CHECK_EQ(info.map_count, 0);
}

// struct hvm_start_info, its module and its map.
static void put_pvh(u32 magic, u32 version)
{
	struct {
		u32 magic, version, flags, modules_count;
		u64 modules, cmdline, rsdp, map;
		u32 map_count, zero;
	} s = {magic, version, 0, 1, AT + 0x100, AT + 0x200, AT + 0x300, AT + 0x400, 2, 0};
	u64 module[4] = {0x300000, 77, 0, 0};
	struct {
		u64 base, size;
		u32 type, zero;
	} map[2] = {{0, 0x9F000, 1, 0}, {MiB, 3 * MiB, 1, 0}};

	memcpy(ram + AT, &s, sizeof(s));
	memcpy(ram + AT + 0x100, module, sizeof(module));
	memcpy(ram + AT + 0x200, "a=b", 4);
	memcpy(ram + AT + 0x300, "RSD PTR ", 8);
	memcpy(ram + AT + 0x400, map, sizeof(map));
}

TEST(pvh_reads_start_info)
{
	begin();
	put_pvh(0x336EC578, 1);
	CHECK(boot_read_pvh(&info, hpa(AT)));
	CHECK(strcmp(info.cmdline, "a=b") == 0);
	CHECK_EQ(info.module.v, 0x300000);
	CHECK_EQ(info.module_size, 77);
	CHECK_EQ(info.map_count, 2);
	CHECK(memcmp(info.rsdp, "RSD PTR ", 8) == 0);
}

TEST(pvh_refuses_and_leaves_out)
{
	u64 far = 5 * GiB, size = 4 * GiB;

	begin();
	put_pvh(0x336EC579, 1);
	CHECK(!boot_read_pvh(&info, hpa(AT)));
	put_pvh(0x336EC578, 0);
	CHECK(!boot_read_pvh(&info, hpa(AT)));
	put_pvh(0x336EC578, 1);
	memcpy(ram + AT + 24, &far, 8);         // the command line
	memcpy(ram + AT + 0x100 + 8, &size, 8); // the module's size
	CHECK(boot_read_pvh(&info, hpa(AT)));
	CHECK_EQ(info.cmdline[0], 0);
	CHECK(hpa_is_none(info.module));
	memcpy(ram + AT + 40, &far, 8); // the map
	CHECK(!boot_read_pvh(&info, hpa(AT)));
}

TEST(rsdp_is_found_in_the_bios_area)
{
	u8 rsdp[36] = "RSD PTR ";
	u8 sum = 0;

	for (u32 i = 0; i < 20; i++)
		sum = (u8)(sum + rsdp[i]);
	rsdp[8] = (u8)-sum;
	begin();
	memcpy(ram + 0xF0008, rsdp, 36); // not where it may lie
	boot_find_rsdp(&info);
	CHECK_EQ(info.rsdp[0], 0);
	memcpy(ram + 0xF0010 + 0x40, rsdp, 36);
	boot_find_rsdp(&info);
	CHECK(memcmp(info.rsdp, rsdp, 36) == 0);
	info.rsdp[9]++; // what the boot loader gave is no good
	ram[0xF0050 + 9]++;
	boot_find_rsdp(&info);
	CHECK_EQ(info.rsdp[0], 0);
}

TEST_MAIN()
