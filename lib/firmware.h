// SPDX-License-Identifier: MIT
// What an image of UEFI firmware for a PC is made of: a volume of variables perhaps, then code that ends at 4 GiB.
//
// Source: PI specification 1.7, volume 3, section 3.2.1 (EFI_FIRMWARE_VOLUME_HEADER).
#pragma once

#include "lib/types.h"

#define FIRMWARE_MAX      (16 * MiB)
#define FIRMWARE_BLOCK    4096u        // what its variables are erased by
#define FIRMWARE_VARS_MAX (1016 * KiB) // of variables

// Does the file begin like firmware at all?
bool firmware_is(const u8 *image, u64 size);

// Is it a PC's BIOS: 128 or 256 KiB that end with a jump to F000h:E05Bh?
bool firmware_is_bios(const u8 *image, u64 size);

// Looks at the whole image, which firmware_is. NULL: it can be tried, and its first *vars bytes, whole blocks, keep its
// variables (0: it has none). Else what is wrong with it.
const char *firmware_look(const u8 *image, u64 size, u32 *vars);

// Do [volume, volume + size) begin with the headers of a volume of variables of this size, as firmware leaves them? It crashes where
// they are otherwise.
bool firmware_vars_good(const u8 *volume, u64 size);
