// SPDX-License-Identifier: MIT
// fw_cfg by its ports.
#include "devices/fw_cfg.h"

#include "lib/atomic.h"

static void select_item(struct fw_cfg *f, u16 key)
{
	u32 count = READ_ONCE(f->area->count);

	f->left = 0;
	for (u32 i = 0; i < MIN(count, FW_CFG_ITEMS); i++) {
		const struct fw_cfg_item *item = &f->area->item[i];
		u32 at = READ_ONCE(item->at), size = READ_ONCE(item->size);

		if (READ_ONCE(item->key) == key && at <= f->size && size <= f->size - at) {
			f->at = at;
			f->left = size;
		}
	}
}

u32 fw_cfg_read(struct fw_cfg *f, u64 offset, unsigned size)
{
	if (offset != FW_CFG_DATA || size != 1)
		return size >= 4 ? ~0u : (1u << size * 8) - 1;
	if (!f->left)
		return 0;
	f->left--;
	return ((const u8 *)f->area)[f->at++];
}

void fw_cfg_write(struct fw_cfg *f, u64 offset, unsigned size, u32 value)
{
	if (offset == FW_CFG_SELECTOR && size == 2)
		select_item(f, (u16)value);
}
