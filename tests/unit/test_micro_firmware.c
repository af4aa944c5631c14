// SPDX-License-Identifier: MIT
// The firmware's part of a VM of micro: what its back-end finds in the area, what rings, and what a reset finds in the chip.
// link: kernel/micro/firmware.c kernel/vm/vflash.c devices/pflash.c lib/firmware.c tests/unit/fake/arch.c
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/model.h"
#include "kernel/micro/backend.h"
#include "kernel/vm/acpi_tables.h"
#include "kernel/vm/loader_parts.h"
#include "lib/errno.h"
#include "tests/unit/firmware_build.h"
#include "tests/unit/test.h"

#define IMAGE (64 * KiB)
#define VARS  (16 * KiB)
#define PLACE (0x100000000ull - IMAGE)

static u8 image[256 * KiB];
static struct vm vm;
static struct bundle_vm config;
static struct vm_backend backend;
static struct mezz_bells bells;
static unsigned rings, logs, tables, mapped, allocated, flushes;
static bool no_memory;
static u8 vcpu_memory[sizeof(struct vcpu)];

void *kmem_alloc(size_t size, u16 owner)
{
	void *p;

	CHECK_EQ(owner, vm.id);
	if (no_memory && size == MEZZ_FIRMWARE_SIZE)
		return NULL;
	allocated++;
	p = aligned_alloc(PAGE_SIZE, ALIGN_UP(size, PAGE_SIZE));
	memset(p, 0, size);
	return p;
}

void kmem_free(void *p, size_t size)
{
	(void)size;
	allocated--;
	free(p);
}

int acpi_tables_write(struct vm *v, gpa_t *rsdp)
{
	CHECK(v == &vm && rsdp);
	tables++;
	return 0;
}

void backend_ring(const struct vm *v, u64 *word, u64 bits)
{
	CHECK(v == &vm && word == &bells.vars && bits == 1);
	rings++;
}

bool gmap_map_rom(struct gmap *g, u64 gpa, const void *rom, u64 size)
{
	CHECK(g == &vm.gmap && gpa == PLACE && size == VARS);
	CHECK(rom == (u8 *)backend.firmware->area + MEZZ_FIRMWARE_VARS);
	mapped = 1;
	return true;
}

void gmap_unmap_rom(struct gmap *g, u64 gpa, u64 size)
{
	CHECK(g == &vm.gmap && gpa == PLACE && size == VARS);
	mapped = 0;
}

void vcpu_post(struct vcpu *v, u64 events)
{
	CHECK(v == vm.vcpus[0] && events == VCPU_FLUSH);
	flushes++;
}

void log_vm(struct vm *v, const char *fmt, ...)
{
	CHECK(v == &vm && fmt);
	logs++;
}

void vm_stop(struct vm *v, const char *fmt, ...)
{
	(void)v;
	(void)fmt;
	CHECK(false);
}

static const char *create(u64 size)
{
	fake_reset(1);
	config = (struct bundle_vm){.kernel = {image, size}};
	vm = (struct vm){.id = 5, .config = &config, .vcpu_count = 1, .lock = SPINLOCK(LOCK_VM)};
	vm.vcpus[0] = (struct vcpu *)(void *)vcpu_memory;
	vm.backend = &backend;
	backend = (struct vm_backend){.bells = &bells};
	rings = logs = tables = mapped = flushes = 0;
	return firmware_create(&vm, &backend.firmware);
}

static struct lpc *start(bool bios)
{
	struct load l = {.vm = &vm};

	return model_firmware(&l, bios);
}

static void write_chip(struct pflash *chip, u64 at, u8 command, u8 value)
{
	spin_lock(&vm.lock);
	pflash_write(chip, at, 1, command);
	pflash_write(chip, at, 1, value);
	pflash_write(chip, at, 1, 0xff);
	spin_unlock(&vm.lock);
}

static void end(void)
{
	firmware_destroy(backend.firmware);
	CHECK(!mapped && !allocated);
}

TEST(what_the_back_end_finds)
{
	struct mezz_firmware *area;

	firmware_build(image, IMAGE, VARS);
	CHECK(!create(IMAGE) && backend.firmware && tables == 1);
	area = backend.firmware->area;
	CHECK(area->vars == VARS && !area->bios);
	CHECK(memcmp((u8 *)area + MEZZ_FIRMWARE_VARS, image, VARS) == 0);
	end();
	memset(image, 0, sizeof(image));
	memcpy(image + sizeof(image) - 16, "\xea\x5b\xe0\x00\xf0", 5);
	CHECK(!create(sizeof(image)));
	CHECK(backend.firmware->area->bios && !backend.firmware->area->vars);
	CHECK(!start(true)->flash && firmware_saved(backend.firmware));
	end();
}

TEST(others)
{
	memset(image, 0, sizeof(image));
	CHECK(!create(IMAGE) && !backend.firmware && !allocated); // a kernel
	firmware_build(image, IMAGE, VARS);
	image[0x33] ^= 1;
	CHECK(strstr(create(IMAGE), "damaged") && !allocated);
	firmware_build(image, IMAGE, VARS);
	no_memory = true;
	CHECK(strstr(create(IMAGE), "out of memory"));
	end(); // of what was made
	no_memory = false;
}

TEST(changes_ring)
{
	struct pflash *chip;
	struct mezz_firmware *area;

	firmware_build(image, IMAGE, VARS);
	create(IMAGE);
	chip = &start(false)->flash->chip;
	area = backend.firmware->area;
	CHECK(mapped && !rings && !area->changes);
	write_chip(chip, 5000, 0x10, 0x12);
	CHECK(mapped && flushes == 1 && rings == 1 && area->changes == 1);
	CHECK_EQ(((u8 *)area)[MEZZ_FIRMWARE_VARS + 5000], 0x12);
	area->changes = 77; // the back-end may write there: nothing follows from it
	backend.bells = NULL;
	write_chip(chip, 5001, 0x10, 0x34);
	CHECK(rings == 1 && area->changes == 2);
	area->kept = 1;
	CHECK(!firmware_saved(backend.firmware));
	area->saved = 2;
	CHECK(firmware_saved(backend.firmware));
	start(false); // a reset
	CHECK(mapped && ((u8 *)area)[MEZZ_FIRMWARE_VARS + 5000] == 0x12);
	end();
}

// A guest that erased its variables, and a back-end that wrote over them.
TEST(damaged_ones_begin_anew)
{
	struct pflash *chip;
	u8 *data;

	firmware_build(image, IMAGE, VARS);
	create(IMAGE);
	chip = &start(false)->flash->chip;
	data = (u8 *)backend.firmware->area + MEZZ_FIRMWARE_VARS;
	write_chip(chip, 5000, 0x10, 0x12);
	write_chip(chip, 0, 0x20, 0xd0);
	CHECK_EQ(data[0x28], 0xff);
	start(false);
	CHECK(logs == 1 && rings == 3 && memcmp(data, image, VARS) == 0);
	memset(data, 0x5a, MEZZ_FIRMWARE_SIZE - MEZZ_FIRMWARE_VARS);
	start(false);
	CHECK(logs == 2 && memcmp(data, image, VARS) == 0);
	end();
}

TEST_MAIN()
