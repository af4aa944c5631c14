// SPDX-License-Identifier: MIT
// What a back-end tells a VM's firmware, and how it keeps the variables: over ends, torn and foreign files, and a disk that fails.
// link: backend/firmware.c backend/keeper.c devices/fw_tell.c devices/fw_cfg.c devices/fw_cfg_acpi.c devices/fw_cfg_list.c lib/firmware.c
// link: storage/twin.c storage/twin_restore.c storage/crc32.c net/bucket.c devices/host_linux/host_linux.c
// link: devices/host_linux/host_linux_timer.c lib/format.c
#include <fcntl.h>
#include <unistd.h>

#include "backend/firmware.h"
#include "devices/fw_cfg_list.h"
#include "devices/host_linux/host_linux.h"
#include "lib/firmware.h"
#include "storage/twin.h"
#include "tests/unit/firmware_build.h"
#include "tests/unit/test.h"

#define VARS  (16 * KiB)
#define BYTES twin_area(VARS / TWIN_BLOCK)

static char path[] = "/tmp/mezz-vars-XXXXXX";
static struct host host;
static struct mezz_firmware *area;
static u8 template[VARS], before[1 << 20];
static unsigned saves;
static u64 bell;
static const char *why;

static void saved(void *arg)
{
	CHECK(arg == &saves);
	saves++;
}

static u8 *chip(void)
{
	return (u8 *)area + MEZZ_FIRMWARE_VARS;
}

// The kernel's part: a VM that waits, or runs.
static void vm_made(void)
{
	firmware_volume(template, VARS, true);
	memset(template + 0x48, 0xff, VARS - 0x48);
	memcpy(template + 0x48 + 20, "\x5a\xfe", 2);
	memset(area, 0, sizeof(*area));
	area->vars = VARS;
	memcpy(chip(), template, VARS);
}

static void file_make(size_t bytes)
{
	int fd;

	free(area);
	area = calloc(1, MEZZ_FIRMWARE_SIZE);
	host_linux_init(&host, "web");
	saves = 0;
	unlink(path);
	strcpy(path, "/tmp/mezz-vars-XXXXXX");
	fd = mkstemp(path);
	CHECK(fd >= 0 && !ftruncate(fd, (off_t)bytes));
	close(fd);
	vm_made();
}

static void file_read(u8 *to, size_t n)
{
	int fd = open(path, O_RDONLY);

	CHECK(pread(fd, to, n, 0) == (ssize_t)n);
	close(fd);
}

static void file_change(off_t at, u8 x)
{
	int fd = open(path, O_RDWR);
	u8 byte;

	CHECK(pread(fd, &byte, 1, at) == 1);
	byte ^= x;
	CHECK(pwrite(fd, &byte, 1, at) == 1);
	close(fd);
}

static struct keeper *keep(bool first)
{
	int fd = open(path, O_RDWR);
	struct keeper *k = keeper_create(&host, area, &bell, fd, first, saved, &saves, &why);

	if (!k)
		close(fd);
	return k;
}

static void set(struct keeper *k, u32 at, u8 value)
{
	chip()[at] = value;
	area->changes++;
	bell = 1;
	if (k)
		keeper_changed(k);
}

static void wait_until_saved(void)
{
	for (unsigned i = 0; i < 3000 && area->saved != area->changes; i++) {
		usleep(10000);
		host_linux_timers_run(&host);
	}
	CHECK(area->saved == area->changes && !bell);
}

TEST(kept)
{
	struct keeper *k;

	file_make(BYTES);
	k = keep(true);
	CHECK(k && area->kept == 1 && memcmp(chip(), template, VARS) == 0);
	keeper_end(k);
	file_read(before, BYTES);
	for (u32 i = 0; i < BYTES; i++)
		CHECK_EQ(before[i], 0); // nothing has changed
	set(k, 5000, 0x12);
	CHECK(!saves);
	wait_until_saved();
	CHECK_EQ(saves, 1);
	set(k, 6000, 0x34);
	keeper_end(k); // at once
	CHECK_EQ(saves, 2);
	keeper_destroy(k);
	vm_made();
	k = keep(true);
	CHECK(k && chip()[5000] == 0x12 && chip()[6000] == 0x34 && chip()[7000] == 0xff);
	keeper_destroy(k);
}

// The back-end was killed; the chip goes on meanwhile.
TEST(the_next_back_end)
{
	struct keeper *k;

	file_make(BYTES);
	k = keep(true);
	set(k, 5000, 0x12);
	keeper_end(k);
	keeper_destroy(k);
	set(NULL, 6000, 0x34);
	k = keep(false);
	CHECK(chip()[5000] == 0x12 && chip()[6000] == 0x34); // the file's are older
	wait_until_saved();
	keeper_destroy(k);
	vm_made();
	k = keep(true);
	CHECK(chip()[6000] == 0x34);
	keeper_destroy(k);
}

TEST(torn_and_damaged)
{
	struct keeper *k;

	for (unsigned slot = 0; slot < 2; slot++) {
		file_make(BYTES);
		k = keep(true);
		set(k, 5000, 0x12);
		keeper_end(k);
		set(k, 5000, 0x10);
		keeper_end(k);
		keeper_destroy(k);
		file_change((off_t)(slot * twin_slot(VARS / TWIN_BLOCK) + 3 * TWIN_BLOCK), 1);
		vm_made();
		k = keep(true);
		CHECK(k && (chip()[5000] == 0x12 || chip()[5000] == 0x10));
		keeper_destroy(k);
		file_change((off_t)(!slot * twin_slot(VARS / TWIN_BLOCK) + 3 * TWIN_BLOCK), 1);
		vm_made();
		file_read(before, BYTES);
		CHECK(!keep(true) && strstr(why, "damaged"));
	}
}

// A loss of power while firmware rewrote all of it: the copy before is of use.
TEST(newest_is_of_no_use)
{
	struct keeper *k;

	file_make(BYTES);
	k = keep(true);
	set(k, 5000, 0x12);
	keeper_end(k);
	memset(chip(), 0xff, VARS);
	area->changes++;
	keeper_end(k);
	keeper_destroy(k);
	vm_made();
	k = keep(true);
	CHECK(k && chip()[5000] == 0x12);
	keeper_destroy(k);
}

TEST(refused)
{
	struct keeper *k;

	file_make(BYTES);
	file_change(100, 7);
	CHECK(!keep(true) && strstr(why, "holds something else"));
	CHECK(memcmp(chip(), template, VARS) == 0);
	file_make(BYTES - 1);
	CHECK(!keep(true) && strstr(why, "too small"));
	file_make(2 * BYTES);
	k = keep(true);
	set(k, 5000, 1);
	keeper_end(k);
	keeper_destroy(k);
	area->vars = 2 * VARS;
	CHECK(!keep(true) && strstr(why, "other firmware"));
	for (unsigned i = 0; i < 3; i++) {
		static const u32 bad[] = {0, 4097, FIRMWARE_VARS_MAX + 4096};

		area->vars = bad[i];
		CHECK(!keep(true) && strstr(why, "no variables"));
	}
}

// A disk that takes nothing is told of; the VM's reset does not wait for it.
TEST(disk_that_fails)
{
	struct keeper *k;

	file_make(BYTES);
	k = keeper_create(&host, area, &bell, open(path, O_RDONLY), true, saved, &saves, &why);
	CHECK(k);
	set(k, 5000, 0x12);
	wait_until_saved();
	set(k, 5001, 0x12);
	keeper_end(k);
	CHECK_EQ(saves, 2);
	keeper_destroy(k);
	unlink(path);
}

TEST(told)
{
	static u8 low[1 << 20];
	struct mezz_vm vm = {.vcpus = 3};
	struct fw_cfg f;
	u32 files = 0;

	free(area);
	area = calloc(1, MEZZ_FIRMWARE_SIZE);
	CHECK(strstr(firmware_tell(area, &vm, low, 64 * MiB, 0), "ACPI"));
	// The least that is taken for tables: an RSDP, and an XSDT without entries behind it.
	memcpy(low + 0xe0000, "RSD PTR ", 8);
	firmware_number(low + 0xe0000 + 24, 0xe0040, 8);
	memcpy(low + 0xe0040, "XSDT", 4);
	firmware_number(low + 0xe0044, 36, 4);
	area->bios = 1;
	CHECK(!firmware_tell(area, &vm, low, 64 * MiB, GiB));
	f = (struct fw_cfg){.area = (void *)((u8 *)area + MEZZ_FIRMWARE_ITEMS),
		.size = MEZZ_FIRMWARE_VARS - MEZZ_FIRMWARE_ITEMS};
	fw_cfg_write(&f, FW_CFG_SELECTOR, 2, FW_CFG_CPUS);
	CHECK_EQ(fw_cfg_read(&f, FW_CFG_DATA, 1), 3);
	fw_cfg_write(&f, FW_CFG_SELECTOR, 2, FW_CFG_DIRECTORY);
	for (unsigned i = 0; i < 4; i++)
		files = files << 8 | fw_cfg_read(&f, FW_CFG_DATA, 1);
	CHECK_EQ(files, 6);
	free(area);
	area = NULL;
}

TEST_MAIN()
