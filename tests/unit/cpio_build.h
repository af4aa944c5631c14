// SPDX-License-Identifier: MIT
// Builds archives for tests of the boot bundle's reader.
#pragma once

#include "lib/types.h"

#include <stdio.h>
#include <string.h>

// Adds a member at `at` of the archive, a multiple of 4; returns where the next one begins.
static inline size_t cpio_add(
	u8 *archive, size_t at, const char *name, const void *data, size_t size)
{
	char header[111];

	snprintf(header, sizeof(header),
		"070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1, 0x81a4, 0, 0, 1, 0,
		(unsigned)size, 0, 0, 0, 0, (unsigned)strlen(name) + 1, 0);
	memcpy(archive + at, header, 110);
	strcpy((char *)archive + at + 110, name);
	at = ALIGN_UP(at + 110 + strlen(name) + 1, 4);
	memcpy(archive + at, data, size);
	return ALIGN_UP(at + size, 4);
}
