// SPDX-License-Identifier: MIT
// An image that looks like UEFI firmware: a volume of variables perhaps, a volume of code, a reset vector.
#pragma once

#include <string.h>

#include "lib/types.h"

__attribute__((unused)) static void firmware_number(u8 *at, u64 value, size_t bytes)
{
	memcpy(at, &value, bytes);
}

// Makes the header's words add up to 0.
__attribute__((unused)) static void firmware_seal(u8 *volume)
{
	u16 sum = 0, word;

	firmware_number(volume + 0x32, 0, 2);
	for (u32 i = 0; i < 0x48; i += 2) {
		memcpy(&word, volume + i, 2);
		sum = (u16)(sum + word);
	}
	firmware_number(volume + 0x32, (u16)-sum, 2);
}

static inline void firmware_volume(u8 *volume, u64 size, bool vars)
{
	static const u8 nv[16] = {0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c, 0xa9, 0x85, 0x27,
		0x47, 0x07, 0x5b, 0x4f, 0x50};

	memset(volume, 0, 0x48);
	if (vars)
		memcpy(volume + 0x10, nv, sizeof(nv));
	firmware_number(volume + 0x20, size, 8);
	memcpy(volume + 0x28, "_FVH", 4);
	firmware_number(volume + 0x30, 0x48, 2);
	firmware_number(volume + 0x38, size / 4096, 4);
	firmware_number(volume + 0x3c, 4096, 4);
	firmware_seal(volume);
}

// The first `vars` bytes keep variables; 0: there are none.
__attribute__((unused)) static void firmware_build(u8 *image, u64 size, u64 vars)
{
	memset(image, 0xff, size);
	if (vars) {
		firmware_volume(image, vars, true);
		memcpy(image + 0x48 + 20, "\x5a\xfe", 2);
	}
	firmware_volume(image + vars, size - vars, false);
	memcpy(image + size - 16, "\x90\x90\xe9\x5b\xff", 5);
}
