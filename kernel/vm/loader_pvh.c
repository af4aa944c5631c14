// SPDX-License-Identifier: MIT
// The PVH boot protocol. Source: Xen, docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h.

#include "kernel/vm/loader_parts.h"
#include "lib/errno.h"
#include "lib/string.h"

#define START_MAGIC 0x336ec578u

struct start_info {
	u32 magic, version, flags, modules;
	u64 module_list, cmdline, rsdp, memory_map;
	u32 memory_entries, reserved;
};

struct start_module {
	u64 addr, size, cmdline, reserved;
};

struct start_memory {
	u64 addr, size;
	u32 type, reserved;
};

static int put_module_list(struct load *l, struct start_info *info)
{
	struct memory_entry ranges[LOADER_MODULES];
	struct start_module list[LOADER_MODULES];
	unsigned n = load_module_count(l);
	int err = load_modules(l, l->kernel_end, ranges);

	if (err || !n)
		return err;
	memset(list, 0, sizeof(list));
	for (unsigned i = 0; i < n; i++) {
		const char *args;

		load_module(l, i, &args);
		list[i].addr = ranges[i].start;
		list[i].size = ranges[i].size;
		list[i].cmdline = load_low_string(l, args);
		if (!list[i].cmdline)
			return -EINVAL;
	}
	info->modules = n;
	info->module_list = load_low_put(l, list, n * sizeof(list[0]));
	return info->module_list ? 0 : -EINVAL;
}

static int put_memory_map(struct load *l, struct start_info *info)
{
	struct memory_entry map[MEMORY_ENTRIES];
	struct start_memory list[MEMORY_ENTRIES];
	unsigned n = load_memory_map(l->vm, map);

	for (unsigned i = 0; i < n; i++)
		list[i] = (struct start_memory){map[i].start, map[i].size, map[i].type, 0};
	info->memory_entries = n;
	info->memory_map = load_low_put(l, list, n * sizeof(list[0]));
	return info->memory_map ? 0 : -EINVAL;
}

int load_pvh(struct load *l)
{
	struct start_info info = {.magic = START_MAGIC, .version = 1, .rsdp = l->rsdp.v};
	u64 elf_entry, at;
	u32 entry;
	int err = load_elf_pvh_entry(l, &entry);

	if (err || (err = load_elf(l, &elf_entry)) || (err = put_module_list(l, &info)) ||
		(err = put_memory_map(l, &info)))
		return err;
	info.cmdline = load_low_string(l, l->config->cmdline);
	at = info.cmdline ? load_low_put(l, &info, sizeof(info)) : 0;
	if (!at)
		return -EINVAL;
	err = load_enter_32(l, entry);
	if (!err)
		l->vm->vcpus[0]->gpr[RBX] = at;
	return err;
}
