// SPDX-License-Identifier: MIT
// What is told of images of firmware, good and bad.
// link: lib/firmware.c
#include "lib/firmware.h"

#include <stdio.h>

#include "tests/unit/firmware_build.h"
#include "tests/unit/test.h"

#define SIZE (128 * KiB)
#define VARS (16 * KiB)

static u8 image[SIZE];
static u32 vars;

// What firmware_look says, of a copy that ends where the image does.
static const char *look(u64 size)
{
	u8 *copy = malloc(size);
	const char *why;

	memcpy(copy, image, size);
	CHECK(firmware_is(copy, size));
	why = firmware_look(copy, size, &vars);
	free(copy);
	return why;
}

static bool says(const char *what)
{
	const char *why = look(SIZE);

	return why && strstr(why, what) && !vars;
}

TEST(good_images)
{
	firmware_build(image, SIZE, VARS);
	CHECK(!look(SIZE));
	CHECK_EQ(vars, VARS);
	CHECK(firmware_vars_good(image, VARS));
	CHECK(!firmware_vars_good(image, SIZE));
	image[0x48 + 21] = 0xff; // erased
	CHECK(!firmware_vars_good(image, VARS));
	firmware_build(image, SIZE, 0);
	CHECK(!look(SIZE));
	CHECK_EQ(vars, 0);
	CHECK(!firmware_vars_good(image, SIZE));
}

TEST(other_files)
{
	firmware_build(image, SIZE, VARS);
	CHECK(!firmware_is(image, 0));
	CHECK(!firmware_is(image, 4095));
	image[0x28] = 'F';
	CHECK(!firmware_is(image, SIZE));
}

TEST(bios)
{
	static const char jump[] = "\xea\x5b\xe0\x00\xf0";

	memset(image, 0, sizeof(image));
	memcpy(image + SIZE - 16, jump, 5);
	CHECK(firmware_is_bios(image, SIZE));
	CHECK(!firmware_is(image, SIZE));
	CHECK(!firmware_is_bios(image, SIZE - 1));
	CHECK(!firmware_is_bios(image, SIZE / 2));
	image[SIZE - 15] = 0x5c;
	CHECK(!firmware_is_bios(image, SIZE));
}

// The variables behind the code, the variables alone: there is no code where a processor starts.
TEST(no_reset_vector)
{
	firmware_build(image, SIZE, VARS);
	memset(image + SIZE - 16, 0xff, 16);
	CHECK(says("does not end with code"));
	memset(image + SIZE - 16, 0, 16);
	CHECK(says("does not end with code"));
}

TEST(damaged_headers)
{
	static const u8 places[] = {0x10, 0x20, 0x2c, 0x30, 0x31, 0x32, 0x38, 0x3c, 0x47};

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		firmware_build(image, SIZE, VARS);
		image[places[i]] ^= 0x81;
		CHECK(says("damaged"));
	}
	firmware_build(image, SIZE, VARS);
	firmware_number(image + 0x20, SIZE + 1, 8);
	firmware_seal(image);
	CHECK(says("damaged"));
}

TEST(strange_variables)
{
	firmware_build(image, SIZE, VARS);
	firmware_number(image + 0x3c, 65536, 4);
	firmware_seal(image);
	CHECK(says("not known"));
	firmware_build(image, SIZE, VARS);
	firmware_number(image + 0x20, VARS + 8, 8);
	firmware_seal(image);
	CHECK(says("not known"));
	firmware_build(image, SIZE, VARS);
	firmware_number(image + 0x20, SIZE, 8);
	firmware_seal(image);
	CHECK(says("not known"));
	firmware_build(image, SIZE, VARS);
	CHECK(look(SIZE - 512)); // not whole pages
}

// Debian's files, where they are: in the right order they are good, in the other they are not.
TEST(debians)
{
	static const char *const names[] = {
		"/usr/share/OVMF/OVMF_VARS_4M.fd", "/usr/share/OVMF/OVMF_CODE_4M.fd"};
	static u8 all[2][4 * MiB];

	for (unsigned order = 0; order < 2; order++) {
		size_t size = 0;

		for (unsigned i = 0; i < 2; i++) {
			FILE *f = fopen(names[i ^ order], "r");

			if (!f)
				return;
			size += fread(all[order] + size, 1, sizeof(all[0]) - size, f);
			fclose(f);
		}
		CHECK_EQ(size, 4 * MiB);
		CHECK(firmware_is(all[order], size));
		CHECK_EQ(!firmware_look(all[order], size, &vars), !order);
		CHECK_EQ(vars, order ? 0 : 528 * KiB);
		CHECK_EQ(firmware_vars_good(all[order], 528 * KiB), !order);
	}
}

TEST_MAIN()
