// SPDX-License-Identifier: MIT
// Reads what a PVH boot loader passes: struct hvm_start_info, version 1 (Xen: docs/misc/pvh.pandoc,
// public/arch-x86/hvm/start_info.h). All its addresses are believed only below 4 GiB.
#include "kernel/x86/boot.h"
#include "lib/string.h"

#define START_MAGIC 0x336EC578u

struct start_info {
	u32 magic;
	u32 version;
	u32 flags;
	u32 module_count;
	u64 modules;
	u64 cmdline;
	u64 rsdp;
	u64 map; // from version 1 on
	u32 map_count;
	u32 reserved;
};

struct start_module {
	u64 base;
	u64 size;
	u64 cmdline;
	u64 reserved;
};

struct start_range {
	u64 base;
	u64 size;
	u32 type;
	u32 reserved;
};

static bool is_low(u64 a, u64 size)
{
	return a != 0 && a < 4 * GiB && size <= 4 * GiB - a;
}

bool boot_read_pvh(struct boot_info *info, hpa_t at)
{
	struct start_info s = *(const struct start_info *)boot_reach(at.v, sizeof(s));
	const struct start_module *module;
	const struct start_range *map;
	u32 n;

	info->loader = "PVH";
	info->screen.kind =
		BOOT_SCREEN_TEXT; // as the BIOS left it; there is no word about it in start_info
	if (s.magic != START_MAGIC || s.version < 1)
		return false;
	if (is_low(s.cmdline, BOOT_CMDLINE_MAX))
		boot_copy_cmdline(info, boot_reach(s.cmdline, BOOT_CMDLINE_MAX), BOOT_CMDLINE_MAX);
	if (is_low(s.rsdp, sizeof(info->rsdp)))
		memcpy(info->rsdp, boot_reach(s.rsdp, sizeof(info->rsdp)), sizeof(info->rsdp));
	if (s.module_count > 0 && is_low(s.modules, sizeof(*module))) {
		module = boot_reach(s.modules, sizeof(*module));
		if (module->size > 0 && is_low(module->base, module->size)) {
			info->module = hpa(module->base);
			info->module_size = module->size;
		}
	}
	n = MIN(s.map_count, 4 * BOOT_MAP_MAX);
	if (!is_low(s.map, n * sizeof(*map)))
		return false;
	map = boot_reach(s.map, n * sizeof(*map));
	for (u32 i = 0; i < n; i++)
		boot_map_add(info, map[i].base, map[i].size, map[i].type);
	return true;
}
