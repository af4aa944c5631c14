// SPDX-License-Identifier: MIT
#include "backend/say.h"

#include <stdarg.h>
#include <stdio.h>

// With one write, so that lines of several processes do not mix.
bool say(const char *fmt, ...)
{
	char line[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	fprintf(stderr, "mezz-backend: %s\n", line);
	return false;
}
