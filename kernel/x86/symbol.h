// SPDX-License-Identifier: MIT
// Names of the kernel's functions, for backtraces.
#pragma once

#include "lib/types.h"

#define SYMBOL_MAX 48 // a longer name is cut

// The function that holds the address, and how far into it the address is; false when there is none.
bool symbol_find(u64 address, char name[SYMBOL_MAX], u64 *offset);
