// SPDX-License-Identifier: MIT
// Looks at images of UEFI firmware; believes nothing.
#include "lib/firmware.h"

#include "lib/string.h"

// In the header of a volume.
#define GUID          0x10u
#define LENGTH        0x20u // of the volume, 64 bits
#define SIGNATURE     0x28u
#define HEADER_LENGTH 0x30u // 16 bits
#define BLOCKS        0x38u // how many, of which size: 32 bits each
#define HEADER_MIN    0x48u

// In the header of the variables behind it (EDK II, VARIABLE_STORE_HEADER).
#define STORE_FORMAT 20u
#define STORE_STATE  21u
#define FORMATTED    0x5au
#define HEALTHY      0xfeu

#define RESET_CODE 16u // bytes at the end of the image, where a processor starts

// EFI_SYSTEM_NV_DATA_FV_GUID
static const u8 nv_data[16] = {0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c, 0xa9, 0x85, 0x27,
	0x47, 0x07, 0x5b, 0x4f, 0x50};

static u64 load(const u8 *at, u32 bytes)
{
	u64 value = 0;

	memcpy(&value, at, bytes);
	return value;
}

bool firmware_is(const u8 *image, u64 size)
{
	return size >= FIRMWARE_BLOCK && memcmp(image + SIGNATURE, "_FVH", 4) == 0;
}

bool firmware_is_bios(const u8 *image, u64 size)
{
	static const u8 jump[] = {0xea, 0x5b, 0xe0, 0x00, 0xf0};

	return (size == 128 * KiB || size == 256 * KiB) &&
	       memcmp(image + size - RESET_CODE, jump, sizeof(jump)) == 0;
}

// The words of a header add up to 0.
static bool header_good(const u8 *volume, u64 size)
{
	u32 length = (u32)load(volume + HEADER_LENGTH, 2);
	u16 sum = 0;

	if (length < HEADER_MIN || length % 2 || length > FIRMWARE_BLOCK)
		return false;
	for (u32 i = 0; i < length; i += 2)
		sum = (u16)(sum + load(volume + i, 2));
	return sum == 0 && load(volume + LENGTH, 8) <= size;
}

static bool is_vars(const u8 *volume)
{
	return memcmp(volume + GUID, nv_data, sizeof(nv_data)) == 0;
}

bool firmware_vars_good(const u8 *volume, u64 size)
{
	const u8 *store;

	if (!firmware_is(volume, size) || !header_good(volume, size) || !is_vars(volume) ||
		load(volume + LENGTH, 8) != size || size < 2 * FIRMWARE_BLOCK)
		return false;
	store = volume + load(volume + HEADER_LENGTH, 2);
	return store[STORE_FORMAT] == FORMATTED && store[STORE_STATE] == HEALTHY;
}

static bool all_same(const u8 *bytes, u32 n)
{
	for (u32 i = 1; i < n; i++)
		if (bytes[i] != bytes[0])
			return false;
	return true;
}

const char *firmware_look(const u8 *image, u64 size, u32 *vars)
{
	u64 length;

	*vars = 0;
	if (size > FIRMWARE_MAX || size % FIRMWARE_BLOCK)
		return "its firmware is not of whole pages, at most 16 MiB";
	if (!header_good(image, size))
		return "the first volume of its firmware is damaged";
	if (all_same(image + size - RESET_CODE, RESET_CODE))
		return "its firmware does not end with code for a PC";
	if (!is_vars(image))
		return NULL;
	length = load(image + LENGTH, 8);
	if (length >= size || length > FIRMWARE_VARS_MAX || length % FIRMWARE_BLOCK ||
		load(image + BLOCKS + 4, 4) != FIRMWARE_BLOCK)
		return "its firmware keeps its variables in a way that is not known";
	*vars = (u32)length;
	return NULL;
}
