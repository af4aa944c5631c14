// SPDX-License-Identifier: MIT
// Parts of the library that only its own start-up calls.
#pragma once

#include "lib/types.h"

void console_init(void);
void args_init(const char *cmdline);
void memory_init(u64 top);
void random_seed_cpu(u64 seed);
