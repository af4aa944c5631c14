// SPDX-License-Identifier: MIT
// Makes the area of fw_cfg's items (fw_cfg.h): those that every machine has, and files by name.
#pragma once

#include "devices/fw_cfg.h"

#define FW_CFG_FILES     8u
#define FW_CFG_NAME_MAX  55u
#define FW_CFG_SIGNATURE 0x0000u
#define FW_CFG_REVISION  0x0001u
#define FW_CFG_CPUS      0x0005u
#define FW_CFG_MAX_CPUS  0x000fu
#define FW_CFG_DIRECTORY 0x0019u
#define FW_CFG_FILE      0x0020u // the first file's item

struct fw_cfg_list {
	struct fw_cfg_area *area;
	u32 size, used; // bytes
	u32 files;
	u8 *directory;
	bool full; // something found no room
};

// No files; the number of vcpus is an item of its own. What was in the area is forgotten.
void fw_cfg_list_init(struct fw_cfg_list *l, void *area, u32 size, u16 cpus);

// Copies a file into the area; false: there is no room for it.
bool fw_cfg_add(struct fw_cfg_list *l, const char *name, const void *data, u32 size);
