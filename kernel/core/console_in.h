// SPDX-License-Identifier: MIT
// Between the console's input and its output side.
#pragma once

#include "lib/types.h"

// Registers the console's own keys.
void console_in_init(void);

// Human mode: attaches the next VM that has spoken.
void console_attach_next(void);
unsigned console_attached(void);
bool console_frames(void);
