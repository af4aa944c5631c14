// SPDX-License-Identifier: MIT
// Messages of the back-end: one line each on standard error.
#pragma once

#include <stdbool.h>

// Prints "mezz-backend: TEXT". Returns false, for `return say(...)`.
__attribute__((format(printf, 1, 2))) bool say(const char *fmt, ...);
