// SPDX-License-Identifier: MIT
// fw_cfg by its ports: items computed byte by byte, so that the list of files needs no memory.
#include "devices/fw_cfg.h"

#include "lib/string.h"

#define NAME_FIELD  56u
#define ENTRY_BYTES (8u + NAME_FIELD) // size, item, reserved, name
#define INTERFACE   1u                // the ports; no DMA

void fw_cfg_init(struct fw_cfg *f, u16 cpus)
{
	memset(f, 0, sizeof(*f));
	f->cpus = cpus;
}

bool fw_cfg_add(struct fw_cfg *f, const char *name, const void *data, u32 size)
{
	if (f->files == FW_CFG_FILES || strlen(name) > FW_CFG_NAME_MAX)
		return false;
	f->file[f->files++] = (struct fw_cfg_file){name, data, size};
	return true;
}

// Byte `at` of a number of which the most significant byte comes first.
static u8 byte_be(u32 value, u32 at, u32 bytes)
{
	return at < bytes ? (u8)(value >> 8 * (bytes - 1 - at)) : 0;
}

static u8 byte_le(u32 value, u32 at)
{
	return at < 4 ? (u8)(value >> 8 * at) : 0;
}

// The list of files: their number, then one entry for each.
static u8 directory_byte(const struct fw_cfg *f, u32 at)
{
	const struct fw_cfg_file *file;
	u32 index;

	if (at < 4)
		return byte_be(f->files, at, 4);
	index = (at - 4) / ENTRY_BYTES;
	at = (at - 4) % ENTRY_BYTES;
	if (index >= f->files)
		return 0;
	file = &f->file[index];
	if (at < 4)
		return byte_be(file->size, at, 4);
	if (at < 8)
		return byte_be(FW_CFG_FILE + index, at - 4, 2);
	return at - 8 < strlen(file->name) ? (u8)file->name[at - 8] : 0;
}

static u8 item_byte(const struct fw_cfg *f, u32 at)
{
	u32 index = f->selected - FW_CFG_FILE;

	switch (f->selected) {
	case FW_CFG_SIGNATURE:
		return byte_be(0x51454d55, at, 4); // "QEMU"
	case FW_CFG_REVISION:
		return byte_le(INTERFACE, at);
	case FW_CFG_CPUS:
	case FW_CFG_MAX_CPUS:
		return byte_le(f->cpus, at);
	case FW_CFG_DIRECTORY:
		return directory_byte(f, at);
	default:
		if (index < f->files && at < f->file[index].size)
			return ((const u8 *)f->file[index].data)[at];
		return 0;
	}
}

u32 fw_cfg_read(struct fw_cfg *f, u64 offset, unsigned size)
{
	if (offset != FW_CFG_DATA || size != 1)
		return size >= 4 ? ~0u : (1u << size * 8) - 1;
	return item_byte(f, f->offset == ~0u ? f->offset : f->offset++);
}

void fw_cfg_write(struct fw_cfg *f, u64 offset, unsigned size, u32 value)
{
	if (offset != FW_CFG_SELECTOR || size != 2)
		return;
	f->selected = (u16)value;
	f->offset = 0;
}
