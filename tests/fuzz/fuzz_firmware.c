// SPDX-License-Identifier: MIT
// The looks at firmware images and at the two copies of a variable store on a disk: good ones with bytes changed where
// the input says, checksums put right or not.
// link: lib/firmware.c storage/twin.c storage/crc32.c
// cc: -fno-sanitize-coverage=trace-cmp
// fuzz: -max_len=128
#include "lib/firmware.h"
#include "storage/twin.h"
#include "tests/fuzz/input.h"
#include "tests/unit/firmware_build.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define BLOCKS     4u // of the image; two of them keep its variables
#define IMAGE_SIZE (BLOCKS * FIRMWARE_BLOCK)
#define BIOS_SIZE  (128 * KiB)
#define AREA_SIZE  (4 * TWIN_BLOCK) // of a twin of one block

static u8 bios[BIOS_SIZE], volume[IMAGE_SIZE], twin[AREA_SIZE];
static u8 *area; // of just its size

// Three bytes a change: a place, most of them in headers, and what is to be there.
static void change(struct input *in, u8 *bytes, size_t size)
{
	while (in->left) {
		u16 at = input_u16(in);

		bytes[(at & 0x8000 ? at & 0x207f : at) % size] = input_u8(in);
	}
}

// The copy that is looked at has just the size that is told, so that a read beyond it is found.
static void look_at_firmware(struct input *in, u8 how)
{
	static const u32 sizes[] = {IMAGE_SIZE, FIRMWARE_BLOCK, 2 * FIRMWARE_BLOCK, 100};
	u32 size = sizes[how & 3], vars;
	u8 *copy = malloc(size);

	MUST(copy);
	memcpy(copy, volume, size);
	change(in, copy, size);
	if (how & 4 && size > 0x48)
		firmware_seal(copy);
	if (firmware_is(copy, size) && !firmware_look(copy, size, &vars))
		MUST(vars < size && vars % FIRMWARE_BLOCK == 0);
	if (firmware_vars_good(copy, size)) {
		u64 length;

		memcpy(&length, copy + 0x20, sizeof(length));
		MUST(length == size && size >= 2 * FIRMWARE_BLOCK);
	}
	free(copy);
}

static void look_at_bios(struct input *in)
{
	u8 was[16];
	bool good;

	memcpy(was, bios + BIOS_SIZE - sizeof(was), sizeof(was));
	change(in, bios + BIOS_SIZE - sizeof(was), sizeof(was));
	good = memcmp(was, bios + BIOS_SIZE - sizeof(was), 5) == 0;
	MUST(firmware_is_bios(bios, BIOS_SIZE) == good);
	MUST(!firmware_is_bios(bios + 1, BIOS_SIZE - 1));
	memcpy(bios + BIOS_SIZE - sizeof(was), was, sizeof(was));
}

static struct twin_header *header(u8 *at, unsigned slot)
{
	return (void *)(at + slot * twin_slot(1));
}

static void look_at_twin(struct input *in, u8 how)
{
	u64 generation;
	unsigned slot;

	memcpy(area, twin, AREA_SIZE);
	if (how & 8)
		memset(header(area, 1), 0, TWIN_BLOCK);
	change(in, area, AREA_SIZE);
	for (unsigned i = 0; i < 2; i++)
		if (how & 1u << i)
			twin_seal(header(area, i), header(area, i)->blocks,
				header(area, i)->generation);
	if (twin_look(area, 1, &slot, &generation) != TWIN_GOOD)
		return;
	MUST(slot < 2 && generation && header(area, slot)->generation == generation);
	MUST(header(area, slot)->blocks == 1);
}

static void make_all(void)
{
	area = malloc(AREA_SIZE);
	MUST(area);
	firmware_build(volume, IMAGE_SIZE, 2 * FIRMWARE_BLOCK);
	memcpy(bios + BIOS_SIZE - 16, "\xea\x5b\xe0\x00\xf0", 5);
	for (unsigned i = 0; i < 2; i++) {
		twin_sum(header(twin, i), 0, (u8 *)(header(twin, i) + 1));
		twin_seal(header(twin, i), 1, i + 1);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = {data, size};
	u8 how = input_u8(&in);

	if (!area)
		make_all();
	if (how < 0x10)
		look_at_twin(&in, how);
	else if (how < 0x20)
		look_at_bios(&in);
	else
		look_at_firmware(&in, how);
	return 0;
}
