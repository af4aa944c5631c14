// SPDX-License-Identifier: MIT
// The items of fw_cfg one behind the other, and the list of files, whose numbers have their most significant byte first.
#include "devices/fw_cfg_list.h"

#include "lib/string.h"

#define NAME_FIELD      56u
#define ENTRY_BYTES     (8u + NAME_FIELD) // size, item, reserved, name
#define DIRECTORY_BYTES (4u + FW_CFG_FILES * ENTRY_BYTES)
#define INTERFACE       1u // the ports; no DMA

// Room for an item, zeros; NULL: there is none.
static u8 *item_add(struct fw_cfg_list *l, u32 key, u32 size)
{
	u32 n = l->area->count;
	u8 *to = (u8 *)l->area + l->used;

	if (n == FW_CFG_ITEMS || size > l->size - l->used) {
		l->full = true;
		return NULL;
	}
	memset(to, 0, size);
	l->area->item[n] = (struct fw_cfg_item){key, l->used, size};
	l->area->count = n + 1;
	l->used += size;
	return to;
}

static void add_number(struct fw_cfg_list *l, u32 key, u32 value)
{
	u8 *to = item_add(l, key, sizeof(value));

	if (to)
		memcpy(to, &value, sizeof(value));
}

static void put_be(u8 *to, u32 value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		to[i] = (u8)(value >> 8 * (bytes - 1 - i));
}

void fw_cfg_list_init(struct fw_cfg_list *l, void *area, u32 size, u16 cpus)
{
	*l = (struct fw_cfg_list){.area = area, .size = size, .used = sizeof(struct fw_cfg_area)};
	memset(area, 0, sizeof(struct fw_cfg_area));
	add_number(l, FW_CFG_SIGNATURE, 0x554d4551); // "QEMU"
	add_number(l, FW_CFG_REVISION, INTERFACE);
	add_number(l, FW_CFG_CPUS, cpus);
	add_number(l, FW_CFG_MAX_CPUS, cpus);
	l->directory = item_add(l, FW_CFG_DIRECTORY, DIRECTORY_BYTES);
}

bool fw_cfg_add(struct fw_cfg_list *l, const char *name, const void *data, u32 size)
{
	u8 *entry, *to;

	if (l->full || l->files == FW_CFG_FILES || strlen(name) > FW_CFG_NAME_MAX)
		return false;
	to = item_add(l, FW_CFG_FILE + l->files, size);
	if (!to)
		return false;
	memcpy(to, data, size);
	entry = l->directory + 4 + l->files * ENTRY_BYTES;
	put_be(entry, size, 4);
	put_be(entry + 4, FW_CFG_FILE + l->files, 2);
	memcpy(entry + 8, name, strlen(name));
	put_be(l->directory, ++l->files, 4);
	return true;
}
