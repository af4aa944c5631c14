// SPDX-License-Identifier: MIT
// fw_cfg by its ports: items, the list of files, ends, accesses of the wrong size; and an area whose owner lies.
// link: devices/fw_cfg.c devices/fw_cfg_list.c
#include "devices/fw_cfg_list.h"
#include "tests/unit/test.h"

#define AREA 2048u

static struct fw_cfg f;
static struct fw_cfg_list list;

// As after a reset.
static void begin(u16 cpus)
{
	free((void *)(uintptr_t)f.area);
	f = (struct fw_cfg){.area = malloc(AREA), .size = AREA};
	memset((void *)(uintptr_t)f.area, 0xa5, AREA);
	fw_cfg_list_init(&list, (void *)(uintptr_t)f.area, AREA, cpus);
	fw_cfg_write(&f, FW_CFG_SELECTOR, 2, 0);
}

static void select_item(u16 item)
{
	fw_cfg_write(&f, FW_CFG_SELECTOR, 2, item);
}

static u32 read_be(unsigned bytes)
{
	u32 value = 0;

	while (bytes--)
		value = value << 8 | fw_cfg_read(&f, FW_CFG_DATA, 1);
	return value;
}

static void read_bytes(char *to, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (char)fw_cfg_read(&f, FW_CFG_DATA, 1);
}

TEST(known_items)
{
	begin(0x0102);
	CHECK_EQ(read_be(4), 0x51454d55); // "QEMU", selected after a reset
	CHECK_EQ(read_be(2), 0);          // behind its end
	select_item(FW_CFG_REVISION);
	CHECK_EQ(read_be(4), 0x01000000); // the ports, no DMA
	select_item(FW_CFG_CPUS);
	CHECK_EQ(read_be(3), 0x020100);
	select_item(FW_CFG_MAX_CPUS);
	CHECK_EQ(read_be(2), 0x0201);
	select_item(0x1234);
	CHECK_EQ(read_be(4), 0);
	select_item(0xffff);
	CHECK_EQ(read_be(4), 0);
}

TEST(files)
{
	char name[56];

	begin(1);
	CHECK(fw_cfg_add(&list, "etc/one", "abc", 3));
	CHECK(fw_cfg_add(&list, "etc/empty", "", 0));
	select_item(FW_CFG_DIRECTORY);
	CHECK_EQ(read_be(4), 2);
	CHECK_EQ(read_be(4), 3);
	CHECK_EQ(read_be(2), FW_CFG_FILE);
	CHECK_EQ(read_be(2), 0);
	read_bytes(name, sizeof(name));
	CHECK(strcmp(name, "etc/one") == 0);
	CHECK_EQ(read_be(4), 0);
	CHECK_EQ(read_be(2), FW_CFG_FILE + 1);
	CHECK_EQ(read_be(2), 0);
	read_bytes(name, sizeof(name));
	CHECK(strcmp(name, "etc/empty") == 0);
	CHECK_EQ(read_be(4), 0);
	select_item(FW_CFG_FILE);
	CHECK_EQ(read_be(4), 0x61626300);
	select_item(FW_CFG_FILE); // again from the start
	CHECK_EQ(read_be(2), 0x6162);
	select_item(FW_CFG_FILE + 1);
	CHECK_EQ(read_be(1), 0);
	select_item(FW_CFG_FILE + 2);
	CHECK_EQ(read_be(1), 0);
}

TEST(no_room)
{
	char name[58];

	begin(1);
	memset(name, 'n', sizeof(name));
	name[56] = 0;
	CHECK(!fw_cfg_add(&list, name, "", 0));
	name[55] = 0;
	for (unsigned i = 0; i < FW_CFG_FILES; i++)
		CHECK(fw_cfg_add(&list, name, "", 0));
	CHECK(!fw_cfg_add(&list, name, "", 0));
	select_item(FW_CFG_DIRECTORY);
	CHECK_EQ(read_be(4), FW_CFG_FILES);
}

TEST(other_accesses)
{
	begin(1);
	CHECK_EQ(fw_cfg_read(&f, FW_CFG_SELECTOR, 2), 0xffff);
	CHECK_EQ(fw_cfg_read(&f, FW_CFG_DATA, 4), 0xffffffff);
	CHECK_EQ(fw_cfg_read(&f, 4, 1), 0xff);
	fw_cfg_write(&f, FW_CFG_DATA, 1, 5);
	fw_cfg_write(&f, FW_CFG_SELECTOR, 1, 5);
	fw_cfg_write(&f, FW_CFG_SELECTOR, 4, 5);
	CHECK_EQ(read_be(4), 0x51454d55); // none of that was one
}

TEST(no_room_for_bytes)
{
	static u8 big[AREA];

	begin(1);
	CHECK(!fw_cfg_add(&list, "big", big, sizeof(big)));
	CHECK(!fw_cfg_add(&list, "small", big, 1)); // one that is missing is noticed at the end
	select_item(FW_CFG_DIRECTORY);
	CHECK_EQ(read_be(4), 0);
	free((void *)(uintptr_t)f.area);
	f = (struct fw_cfg){
		.area = calloc(1, sizeof(struct fw_cfg_area)), .size = sizeof(struct fw_cfg_area)};
	fw_cfg_list_init(&list, (void *)(uintptr_t)f.area, f.size, 1);
	CHECK(!fw_cfg_add(&list, "a", big, 1));
}

// Whoever owns the area may write anything there, at any moment; ASan sees what is read.
TEST(area_that_lies)
{
	struct fw_cfg_area *a;

	begin(1);
	a = (void *)(uintptr_t)f.area;
	a->count = ~0u;
	select_item(0x4321);
	CHECK_EQ(read_be(4), 0);
	a->item[0] = (struct fw_cfg_item){.key = 7, .at = AREA - 2, .size = 3};
	select_item(7);
	CHECK_EQ(read_be(4), 0);
	a->item[0] = (struct fw_cfg_item){.key = 7, .at = ~0u, .size = 3};
	select_item(7);
	CHECK_EQ(read_be(4), 0);
	a->item[0] = (struct fw_cfg_item){.key = 7, .at = 0, .size = ~0u};
	select_item(7);
	CHECK_EQ(read_be(4), 0);
	a->item[0] = (struct fw_cfg_item){.key = 7, .at = AREA - 2, .size = 2};
	select_item(7);
	CHECK_EQ(read_be(4), 0xa5a50000);
	// What was selected stays within the area, whatever becomes of the item.
	select_item(7);
	a->item[0] = (struct fw_cfg_item){.key = 7, .at = 0, .size = ~0u};
	CHECK_EQ(read_be(3), 0xa5a500);
}

TEST_MAIN()
