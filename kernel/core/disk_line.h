// SPDX-License-Identifier: MIT
// What a `disk` line of the boot bundle says in words (abi/bundle.h). Portable, for programs too; believes nothing.
#pragma once

#include "abi/bundle.h"
#include "lib/types.h"

enum bundle_disk_mode { BUNDLE_DISK_RW, BUNDLE_DISK_RO, BUNDLE_DISK_SNAPSHOT };

struct disk_line {
	enum bundle_disk_mode mode;
	bool device;                      // of the machine; else an image, a member of the archive
	char name[BUNDLE_DEVICE_MAX + 1]; // the member's, or the device's or its PARTUUID
};

// The value of a line. NULL, or what was expected.
const char *disk_line_parse(struct disk_line *out, const char *text);
