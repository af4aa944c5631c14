// SPDX-License-Identifier: MIT
// Finds members of a cpio archive of the newc format ("070701"), as Linux's initramfs has it.
// Portable.
#pragma once

#include "lib/types.h"

struct cpio_member {
	const u8 *data; // within the archive
	size_t size;
};

// The first member of that name in the archive [data, data + size). false: there is none before the
// trailer, before the end, before the first header that makes no sense, or among the first 4096.
bool cpio_find(const void *data, size_t size, const char *name, struct cpio_member *out);
