// SPDX-License-Identifier: MIT
// The NoCloud volume: what cloud-init reads about the machine that it is to set up, as a read-only disk.
#pragma once

#include <stddef.h>

#include "common/util.h"

// What a file of the volume holds; NULL data: the file is left out.
struct nocloud_file {
	const char *data;
	size_t size;
};

// Appends to `image` an ISO 9660 volume with the label "cidata" and the files meta-data (of the VM's name), user-data and
// network-config. The same input gives the same bytes. A file has at most NOCLOUD_FILE_MAX bytes.
// Source: ECMA-119 (ISO 9660); cloud-init's documentation, NoCloud.
#define NOCLOUD_FILE_MAX (1u << 24)
void nocloud_make(struct text *image, const char *name, struct nocloud_file user_data,
	struct nocloud_file network_config);
