// SPDX-License-Identifier: MIT
// A small font of our own for screens of pixels.
#pragma once

#include "lib/types.h"

// The dots of row y (0..7) of a character, the leftmost of 8 in bit 7; none for what is not
// printable ASCII.
u32 font_row(u8 ch, u32 y);
