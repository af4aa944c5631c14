// SPDX-License-Identifier: MIT
// Counting bits; the compiler's own builtin may call a library that the kernel does not have.
#pragma once

#include "lib/types.h"

static inline unsigned bits_count(u64 v)
{
	v -= v >> 1 & 0x5555555555555555ull;
	v = (v & 0x3333333333333333ull) + (v >> 2 & 0x3333333333333333ull);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return (unsigned)(v * 0x0101010101010101ull >> 56);
}
