// SPDX-License-Identifier: MIT
// printf-style formatting into a buffer, for the kernel log.
#pragma once

#include <stdarg.h>
#include "lib/types.h"

// Formats into out (size bytes, always terminated when size > 0) and returns the length that the whole
// text would have. Knows %c %s %d %i %u %x %p %% with the flags 0 and -, # for 0x, a width or *, a
// precision for %s (.N or .*), and the lengths l, ll and z. Anything else is printed as it stands.
size_t format_v(char *out, size_t size, const char *fmt, va_list args);

__attribute__((format(printf, 3, 4))) size_t format(char *out, size_t size, const char *fmt, ...);
