// SPDX-License-Identifier: MIT
// Names of the kernel's functions, for backtraces.
#pragma once

#include "lib/types.h"

// The function that holds the address, and how far into it the address is; NULL when there is none.
const char *symbol_find(u64 address, u64 *offset);
