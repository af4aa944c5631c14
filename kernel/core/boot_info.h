// SPDX-License-Identifier: MIT
// What the boot loader told us, whichever it was: copied before anything else happens, bounded, and
// not yet trusted.
#pragma once

#include "lib/addr.h"

#define BOOT_CMDLINE_MAX 1024
#define BOOT_MAP_MAX     128

enum boot_range_type { // with the numbers of the BIOS' E820
	BOOT_RAM = 1,
	BOOT_RESERVED = 2,
	BOOT_ACPI = 3,
	BOOT_NVS = 4,
	BOOT_BAD = 5,
};

struct boot_range {
	u64 start;
	u64 end; // exclusive, > start
	u32 type;
} __attribute__((packed, aligned(4))); // there are many

enum boot_screen { BOOT_SCREEN_NONE, BOOT_SCREEN_TEXT, BOOT_SCREEN_PIXELS };

struct boot_framebuffer {
	enum boot_screen kind;
	hpa_t base;
	u32 pitch;         // bytes a line
	u32 width, height; // characters or pixels
	u32 bits;          // a pixel
};

struct boot_info {
	const char *loader;
	char cmdline[BOOT_CMDLINE_MAX];
	struct boot_range
		map[BOOT_MAP_MAX]; // as given: unsorted, may overlap; what is not RAM wins
	u32 map_count;
	hpa_t module; // the boot bundle; HPA_NONE: none
	u64 module_size;
	u8 rsdp[36]; // ACPI's root pointer; all zero: none was given
	struct boot_framebuffer screen;
};
