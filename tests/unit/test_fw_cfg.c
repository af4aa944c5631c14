// SPDX-License-Identifier: MIT
// fw_cfg by its ports: items, the list of files, ends, and accesses of the wrong size.
// link: devices/fw_cfg.c
#include "devices/fw_cfg.h"
#include "tests/unit/test.h"

static struct fw_cfg f;

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
	fw_cfg_init(&f, 0x0102);
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

	fw_cfg_init(&f, 1);
	CHECK(fw_cfg_add(&f, "etc/one", "abc", 3));
	CHECK(fw_cfg_add(&f, "etc/empty", "", 0));
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

	fw_cfg_init(&f, 1);
	memset(name, 'n', sizeof(name));
	name[56] = 0;
	CHECK(!fw_cfg_add(&f, name, "", 0));
	name[55] = 0;
	for (unsigned i = 0; i < FW_CFG_FILES; i++)
		CHECK(fw_cfg_add(&f, name, "", 0));
	CHECK(!fw_cfg_add(&f, name, "", 0));
	select_item(FW_CFG_DIRECTORY);
	CHECK_EQ(read_be(4), FW_CFG_FILES);
}

TEST(other_accesses)
{
	fw_cfg_init(&f, 1);
	CHECK_EQ(fw_cfg_read(&f, FW_CFG_SELECTOR, 2), 0xffff);
	CHECK_EQ(fw_cfg_read(&f, FW_CFG_DATA, 4), 0xffffffff);
	CHECK_EQ(fw_cfg_read(&f, 4, 1), 0xff);
	fw_cfg_write(&f, FW_CFG_DATA, 1, 5);
	fw_cfg_write(&f, FW_CFG_SELECTOR, 1, 5);
	fw_cfg_write(&f, FW_CFG_SELECTOR, 4, 5);
	CHECK_EQ(read_be(4), 0x51454d55); // none of that was one
}

// A guest may read for as long as it likes.
TEST(offset_does_not_wrap)
{
	fw_cfg_init(&f, 1);
	f.offset = 0xfffffffe;
	CHECK_EQ(read_be(4), 0);
	CHECK_EQ(f.offset, 0xffffffff);
}

TEST_MAIN()
