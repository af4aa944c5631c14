// SPDX-License-Identifier: MIT
// Multiboot 1 kernels: ELF, or a flat file whose header says where it goes. Source: Multiboot Specification 0.6.96.

#include "kernel/vm/loader_parts.h"
#include "lib/errno.h"
#include "lib/string.h"

#define SEARCH       8192u // the header lies within
#define HEADER_MAGIC 0x1badb002u
#define LOADER_MAGIC 0x2badb002u

#define WANT_ADDRESSES 0x00010000u
#define WANT_KNOWN     0x00010007u // page-aligned modules, memory, video (which is a wish), addresses
#define WANT_MUST      0x0000ffffu // what we may not ignore when we do not know it

#define INFO_MEMORY  0x001u
#define INFO_CMDLINE 0x004u
#define INFO_MODULES 0x008u
#define INFO_MAP     0x040u
#define INFO_LOADER  0x200u

struct multiboot_header {
	u32 magic, flags, checksum;
	u32 header_addr, load_addr, load_end, bss_end, entry; // with WANT_ADDRESSES
};

struct multiboot_info {
	u32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
	u32 symbols[4];
	u32 map_length, map_addr, drives_length, drives_addr, config_table, loader_name;
	u32 rest[13]; // APM, VBE and frame buffer: none
};

struct multiboot_module {
	u32 start, end, string, reserved;
};

struct multiboot_memory {
	u32 size; // of what follows
	u64 addr, length;
	u32 type;
} __attribute__((packed));

_Static_assert(sizeof(struct multiboot_info) == 120, "Multiboot 0.6.96, section 3.3");

// The header's file offset, or -ENOEXEC.
static int find_header(const struct image *file, struct multiboot_header *h)
{
	for (u32 at = 0; at + 12 <= SEARCH; at += 4) {
		memset(h, 0, sizeof(*h));
		if (!image_read(file, at, h, 12))
			return -ENOEXEC;
		if (h->magic != HEADER_MAGIC || h->magic + h->flags + h->checksum != 0)
			continue;
		if ((h->flags & WANT_ADDRESSES) && !image_read(file, at, h, sizeof(*h)))
			continue;
		return (int)at;
	}
	return -ENOEXEC;
}

// A file that is no ELF but says where its bytes go.
static int load_flat(struct load *l, const struct multiboot_header *h, u32 at, u64 *entry)
{
	u32 before = h->header_addr - h->load_addr; // bytes of it in front of the header
	struct image data;
	u64 size, memory;

	if (h->load_addr > h->header_addr || before > at)
		return load_fail(l, "its kernel's Multiboot header contradicts itself");
	data = image_part(&l->kernel, at - before);
	size = h->load_end ? (u64)h->load_end - h->load_addr : data.size;
	memory = h->bss_end ? (u64)h->bss_end - h->load_addr : size;
	if (size > data.size || size > memory || !load_fits(l, h->load_addr, memory))
		return load_fail(l, "its kernel's Multiboot header names addresses that cannot be");
	l->kernel_start = h->load_addr;
	l->kernel_end = h->load_addr + memory;
	*entry = h->entry;
	if (load_copy(l, h->load_addr, data.data, size))
		return -ENOMEM;
	return load_zero(l, h->load_addr + size, memory - size);
}

static int put_modules(struct load *l, struct multiboot_info *info)
{
	struct memory_entry ranges[LOADER_MODULES];
	struct multiboot_module list[LOADER_MODULES];
	unsigned n = load_module_count(l);
	int err = load_modules(l, l->kernel_end, ranges);

	if (err || !n)
		return err;
	for (unsigned i = 0; i < n; i++) {
		const char *args;

		load_module(l, i, &args);
		list[i] = (struct multiboot_module){.start = (u32)ranges[i].start,
			.end = (u32)(ranges[i].start + ranges[i].size),
			.string = (u32)load_low_string(l, args)};
		if (!list[i].string)
			return -EINVAL;
	}
	info->flags |= INFO_MODULES;
	info->mods_count = n;
	info->mods_addr = (u32)load_low_put(l, list, n * sizeof(list[0]));
	return info->mods_addr ? 0 : -EINVAL;
}

static int put_memory_map(struct load *l, struct multiboot_info *info)
{
	struct memory_entry map[MEMORY_ENTRIES];
	struct multiboot_memory list[MEMORY_ENTRIES];
	unsigned n = load_memory_map(l->vm, map);

	for (unsigned i = 0; i < n; i++)
		list[i] = (struct multiboot_memory){sizeof(list[i]) - sizeof(list[i].size),
			map[i].start, map[i].size, map[i].type};
	info->flags |= INFO_MAP | INFO_MEMORY;
	info->mem_lower = (u32)(GPA_VGA_HOLE / KiB);
	info->mem_upper = (u32)((MAX(l->vm->ram_low, MiB) - MiB) / KiB);
	info->map_length = (u32)(n * sizeof(list[0]));
	info->map_addr = (u32)load_low_put(l, list, n * sizeof(list[0]));
	return info->map_addr ? 0 : -EINVAL;
}

static int put_info(struct load *l, u64 *at)
{
	struct multiboot_info info = {.flags = INFO_CMDLINE | INFO_LOADER};
	int err;

	if ((err = put_modules(l, &info)) || (err = put_memory_map(l, &info)))
		return err;
	info.cmdline = (u32)load_low_string(l, l->config->cmdline);
	info.loader_name = (u32)load_low_string(l, "Mezzanine");
	*at = info.cmdline && info.loader_name ? load_low_put(l, &info, sizeof(info)) : 0;
	return *at ? 0 : -EINVAL;
}

int load_multiboot(struct load *l)
{
	struct multiboot_header h;
	int err, at = find_header(&l->kernel, &h);
	u64 entry, info;

	if (at < 0)
		return at;
	if (h.flags & WANT_MUST & ~WANT_KNOWN)
		return load_fail(l, "its kernel's Multiboot header asks for what is not known");
	err = h.flags & WANT_ADDRESSES ? load_flat(l, &h, (u32)at, &entry) : load_elf(l, &entry);
	if (err == -ENOEXEC)
		return load_fail(l, "its kernel has a Multiboot header but is no x86 ELF");
	if (err || (err = put_info(l, &info)) || (err = load_enter_32(l, entry)))
		return err;
	l->vm->vcpus[0]->gpr[RAX] = LOADER_MAGIC;
	l->vm->vcpus[0]->gpr[RBX] = info;
	return 0;
}
