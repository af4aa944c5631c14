// SPDX-License-Identifier: MIT
// CRC-32 as Ethernet and GPT have it.
#pragma once

#include "lib/types.h"

// Goes on from `crc`, 0 at first.
u32 crc32_add(u32 crc, const void *bytes, size_t n);
