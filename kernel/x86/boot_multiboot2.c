// SPDX-License-Identifier: MIT
// Reads what a Multiboot2 boot loader passes (Multiboot2 specification 2.0, 3.6): a list of tags.
#include "kernel/x86/boot.h"
#include "kernel/core/pcpu.h" // for arch.h: the real one, or the fake one of a test
#include "lib/string.h"

#define INFO_MAX (1 * MiB)

enum {
	TAG_END = 0,
	TAG_CMDLINE = 1,
	TAG_MODULE = 3,
	TAG_MEMORY_MAP = 6,
	TAG_FRAMEBUFFER = 8,
	TAG_ACPI_OLD = 14,
	TAG_ACPI_NEW = 15,
};

struct tag {
	u32 type;
	u32 size; // with this header
};

struct tag_module {
	struct tag tag;
	u32 start, end;
};

struct tag_memory_map {
	struct tag tag;
	u32 entry_size;
	u32 version;
};

struct memory_entry {
	u64 start;
	u64 size;
	u32 type;
	u32 reserved;
};

struct tag_framebuffer {
	struct tag tag;
	u64 base;
	u32 pitch, width, height;
	u8 bits;
	u8 type; // 0: palette, 1: RGB, 2: text
};

static void read_memory_map(struct boot_info *info, const struct tag *t)
{
	const struct tag_memory_map *m = (const void *)t;

	if (t->size < sizeof(*m) || m->entry_size < sizeof(struct memory_entry))
		return;
	for (u64 at = sizeof(*m); at + m->entry_size <= t->size; at += m->entry_size) {
		const struct memory_entry *e = (const void *)((const u8 *)t + at);

		boot_map_add(info, e->start, e->size, e->type);
	}
}

static void read_module(struct boot_info *info, const struct tag *t)
{
	const struct tag_module *m = (const void *)t;

	if (t->size < sizeof(*m) || m->end <= m->start || !hpa_is_none(info->module))
		return;
	info->module = hpa(m->start);
	info->module_size = m->end - m->start;
}

static void read_framebuffer(struct boot_info *info, const struct tag *t)
{
	const struct tag_framebuffer *f = (const void *)t;

	if (t->size < offsetof(struct tag_framebuffer, type) + 1)
		return;
	info->screen = (struct boot_framebuffer){
		.kind = f->type == 2   ? BOOT_SCREEN_TEXT
			: f->type == 1 ? BOOT_SCREEN_PIXELS
				       : BOOT_SCREEN_NONE,
		.base = hpa(f->base),
		.pitch = f->pitch,
		.width = f->width,
		.height = f->height,
		.bits = f->bits,
	};
}

static void read_rsdp(struct boot_info *info, const struct tag *t)
{
	memset(info->rsdp, 0, sizeof(info->rsdp));
	memcpy(info->rsdp, t + 1, MIN(t->size - sizeof(*t), sizeof(info->rsdp)));
}

static void read_tag(struct boot_info *info, const struct tag *t)
{
	switch (t->type) {
	case TAG_CMDLINE:
		boot_copy_cmdline(info, (const char *)(t + 1), t->size - sizeof(*t));
		break;
	case TAG_MODULE:
		read_module(info, t);
		break;
	case TAG_MEMORY_MAP:
		read_memory_map(info, t);
		break;
	case TAG_FRAMEBUFFER:
		read_framebuffer(info, t);
		break;
	case TAG_ACPI_OLD:
		if (info->rsdp[0] == 0)
			read_rsdp(info, t);
		break;
	case TAG_ACPI_NEW:
		read_rsdp(info, t);
		break;
	default:
		break;
	}
}

bool boot_read_multiboot2(struct boot_info *info, hpa_t at)
{
	u32 total = *(const u32 *)boot_reach(at.v, sizeof(total));
	const u8 *base;

	info->loader = "Multiboot2";
	if (total < 16 || total > INFO_MAX)
		return false;
	base = boot_reach(at.v, total);
	for (u64 offset = 8; offset + sizeof(struct tag) <= total;) {
		const struct tag *t = (const void *)(base + offset);

		if (t->type == TAG_END)
			return true;
		if (t->size < sizeof(*t) || t->size > total - offset)
			return false;
		read_tag(info, t);
		offset = ALIGN_UP(offset + t->size, 8);
	}
	return true;
}
