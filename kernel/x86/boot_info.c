// SPDX-License-Identifier: MIT
// Helpers of the readers of boot loaders' information.
#include "kernel/x86/boot.h"
#include "kernel/core/pcpu.h" // for arch.h: the real one, or the fake one of a test
#include "lib/string.h"

#define BIOS_AREA     0xE0000ull
#define BIOS_AREA_END 0x100000ull
#define EBDA_SEGMENT  0x40Eull // the BIOS data area's pointer to its extension

void boot_map_add(struct boot_info *info, u64 start, u64 size, u32 type)
{
	u64 end = start + size;
	struct boot_range *last = info->map_count ? &info->map[info->map_count - 1] : NULL;

	if (end <= start)
		return;
	if (type < BOOT_RAM || type > BOOT_BAD)
		type = BOOT_RESERVED;
	if (last && last->end == start && last->type == type)
		last->end = end;
	else if (info->map_count < BOOT_MAP_MAX)
		info->map[info->map_count++] = (struct boot_range){start, end, type};
}

void boot_copy_cmdline(struct boot_info *info, const char *text, size_t max)
{
	size_t n = strnlen(text, MIN(max, sizeof(info->cmdline) - 1));

	memcpy(info->cmdline, text, n);
	info->cmdline[n] = 0;
}

static bool is_rsdp(const u8 *p)
{
	u8 sum = 0;

	if (memcmp(p, "RSD PTR ", 8) != 0)
		return false;
	for (int i = 0; i < 20; i++)
		sum = (u8)(sum + p[i]);
	return sum == 0;
}

static bool scan(struct boot_info *info, u64 start, u64 end)
{
	for (u64 a = start; a + sizeof(info->rsdp) <= end; a += 16)
		if (is_rsdp(hpa_to_va(hpa(a)))) {
			memcpy(info->rsdp, hpa_to_va(hpa(a)), sizeof(info->rsdp));
			return true;
		}
	return false;
}

void boot_find_rsdp(struct boot_info *info)
{
	u64 ebda = (u64) * (const volatile u16 *)hpa_to_va(hpa(EBDA_SEGMENT)) << 4;

	if (is_rsdp(info->rsdp))
		return;
	memset(info->rsdp, 0, sizeof(info->rsdp));
	if (ebda >= 0x80000 && ebda < 0xA0000 && scan(info, ebda, ebda + 1024))
		return;
	scan(info, BIOS_AREA, BIOS_AREA_END);
}
