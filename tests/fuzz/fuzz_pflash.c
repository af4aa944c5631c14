// SPDX-License-Identifier: MIT
// The flash chip under any accesses: it changes nothing that it does not tell of, and only clears bits unless it erases; then
// the looks at firmware images and at the two copies of a store, of any bytes.
// link: devices/pflash.c lib/firmware.c storage/twin.c storage/crc32.c
// fuzz: -max_len=65536
#include "devices/pflash.h"
#include "lib/firmware.h"
#include "storage/twin.h"
#include "tests/fuzz/input.h"

#define SIZE (3 * PFLASH_BLOCK)

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static u8 *array, *shadow;
static bool readable;

static void chip_changed(struct pflash *f, u32 offset, u32 bytes)
{
	bool erased = bytes == PFLASH_BLOCK && offset % PFLASH_BLOCK == 0;

	MUST(f->data == array && offset < SIZE && bytes <= SIZE - offset && bytes);
	for (u32 i = offset; i < offset + bytes; i++)
		MUST((array[i] & shadow[i]) == array[i] || (erased && array[i] == 0xff));
	memcpy(shadow + offset, array + offset, bytes);
}

static void chip_readable(struct pflash *f, bool is)
{
	MUST(is != readable && is == (f->mode == PFLASH_ARRAY));
	readable = is;
}

static const struct pflash_ops ops = {chip_changed, chip_readable};

static void drive(struct input *in)
{
	struct pflash chip;

	array = malloc(SIZE);
	shadow = malloc(SIZE);
	MUST(array && shadow);
	memset(array, 0x5a, SIZE);
	memcpy(shadow, array, SIZE);
	readable = true;
	pflash_init(&chip, &ops, array, SIZE);
	while (in->left) {
		u8 op = input_u8(in);
		unsigned bytes = 1u << (op >> 2 & 3);
		u64 at = op & 0x10 ? input_u64(in) : input_u16(in);

		if (op & 1)
			pflash_write(&chip, at, bytes, op & 0x20 ? input_u64(in) : input_u8(in));
		else if (op & 2)
			pflash_read(&chip, at, bytes);
		else if (op == 0)
			pflash_reset(&chip);
		MUST(readable == (chip.mode == PFLASH_ARRAY));
	}
	MUST(memcmp(array, shadow, SIZE) == 0);
	free(array);
	free(shadow);
}

static void look_at_firmware(const u8 *data, size_t size)
{
	u8 *copy = malloc(size + 1);
	u32 vars;

	MUST(copy);
	memcpy(copy, data, size);
	if (firmware_is(copy, size) && !firmware_look(copy, size, &vars))
		MUST(vars < size && vars % FIRMWARE_BLOCK == 0);
	free(copy);
}

static void look_at_twin(const u8 *data, size_t size)
{
	u8 *area = calloc(1, twin_area(1));
	u64 generation;
	unsigned slot;

	MUST(area);
	memcpy(area, data, MIN(size, (size_t)twin_area(1)));
	if (twin_look(area, 1, &slot, &generation) == TWIN_GOOD)
		MUST(slot < 2 && generation);
	free(area);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = {data, size};

	switch (input_u8(&in) & 3) {
	case 0:
		look_at_firmware(in.at, in.left);
		break;
	case 1:
		look_at_twin(in.at, in.left);
		break;
	default:
		drive(&in);
	}
	return 0;
}
