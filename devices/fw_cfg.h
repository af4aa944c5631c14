// SPDX-License-Identifier: MIT
// fw_cfg: the items through which a machine tells its firmware about itself; the port interface, no DMA.
//
// A selector picks an item, then each read of the data port gives its next byte; behind its end come zeros. Nothing can
// be written. What the items are is in an area of memory, which fw_cfg_list.h fills. It may be another's (micro: the VM's
// back-end's), so what it says is fetched once, then checked. Source: QEMU, docs/specs/fw_cfg.rst.
#pragma once

#include "lib/types.h"

#define FW_CFG_ITEMS    16u
#define FW_CFG_SELECTOR 0u // offset of the selector, 16 bits
#define FW_CFG_DATA     1u // offset of the data port, 8 bits

// The area begins with this; the items' bytes are somewhere behind it.
struct fw_cfg_area {
	u32 count; // of items
	u32 reserved;
	struct fw_cfg_item {
		u32 key;      // by which it is selected
		u32 at, size; // where it is in the area, bytes
	} item[FW_CFG_ITEMS];
};

struct fw_cfg {
	const struct fw_cfg_area *area;
	u32 size;     // of the area, at least a struct fw_cfg_area
	u32 at, left; // what the data port gives: of the selected item, within the area
};

// Accesses to the ports, by offset from the first; size 1, 2 or 4.
u32 fw_cfg_read(struct fw_cfg *f, u64 offset, unsigned size);
void fw_cfg_write(struct fw_cfg *f, u64 offset, unsigned size, u32 value);
