// SPDX-License-Identifier: MIT
// fw_cfg: the list of named files through which a machine tells its firmware about itself; the port interface, no DMA.
//
// A selector picks an item, then each read of the data port gives its next byte; behind its end come zeros. Nothing can
// be written. Source: QEMU, docs/specs/fw_cfg.rst.
#pragma once

#include "lib/types.h"

#define FW_CFG_FILES     8u
#define FW_CFG_NAME_MAX  55u
#define FW_CFG_SELECTOR  0u // offset of the selector, 16 bits
#define FW_CFG_DATA      1u // offset of the data port, 8 bits
#define FW_CFG_SIGNATURE 0x0000u
#define FW_CFG_REVISION  0x0001u
#define FW_CFG_CPUS      0x0005u
#define FW_CFG_MAX_CPUS  0x000fu
#define FW_CFG_DIRECTORY 0x0019u
#define FW_CFG_FILE      0x0020u // the first file's item

struct fw_cfg_file {
	const char *name; // at most FW_CFG_NAME_MAX characters
	const void *data;
	u32 size;
};

// The owner keeps what the files' pointers lead to.
struct fw_cfg {
	u16 cpus;
	u16 selected;
	u32 offset; // of the next byte of the selected item
	unsigned files;
	struct fw_cfg_file file[FW_CFG_FILES];
};

// No files; the number of vcpus is an item of its own.
void fw_cfg_init(struct fw_cfg *f, u16 cpus);

// Adds a file, at most FW_CFG_FILES of them; false: there is no room for it.
bool fw_cfg_add(struct fw_cfg *f, const char *name, const void *data, u32 size);

// Accesses to the ports, by offset from the first; size 1, 2 or 4.
u32 fw_cfg_read(struct fw_cfg *f, u64 offset, unsigned size);
void fw_cfg_write(struct fw_cfg *f, u64 offset, unsigned size, u32 value);
