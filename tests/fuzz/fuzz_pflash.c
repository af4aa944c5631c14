// SPDX-License-Identifier: MIT
// The flash chip under any accesses: it changes nothing that it does not tell of, and only clears bits unless it erases.
// link: devices/pflash.c
// cc: -fno-sanitize-coverage=trace-cmp
// fuzz: -max_len=1024
#include "devices/pflash.h"
#include "tests/fuzz/input.h"

#define SIZE (3 * PFLASH_BLOCK)

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static u8 *array, *shadow; // each of just its size
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

static void step(struct pflash *chip, struct input *in)
{
	u8 op = input_u8(in);
	unsigned bytes = 1u << (op >> 2 & 3);
	u64 at = op & 0x10 ? input_u64(in) : input_u16(in);

	if (op & 1)
		pflash_write(chip, at, bytes, op & 0x20 ? input_u64(in) : input_u8(in));
	else if (op & 2)
		pflash_read(chip, at, bytes);
	else if (op == 0)
		pflash_reset(chip);
	MUST(readable == (chip->mode == PFLASH_ARRAY));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = {data, size};
	struct pflash chip;

	if (!array) {
		array = malloc(SIZE);
		shadow = malloc(SIZE);
		MUST(array && shadow);
	}
	memset(array, 0x5a, SIZE);
	memset(shadow, 0x5a, SIZE);
	readable = true;
	pflash_init(&chip, &ops, array, SIZE);
	while (in.left)
		step(&chip, &in);
	MUST(memcmp(array, shadow, SIZE) == 0);
	return 0;
}
