// SPDX-License-Identifier: MIT
// Builds and extends the kernel's page tables (APM vol. 2, 5.3).
#include "kernel/x86/paging.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/x86/arch.h"
#include "kernel/x86/boot.h"
#include "kernel/x86/cpu.h"

extern char text_start[], rodata_start[], data_start[], image_end[];

static hpa_t root = {0};
static bool use_frames;
static u64 mmio_next = MMIO_AREA;

hpa_t paging_root(void)
{
	return root;
}
void paging_use_frames(void)
{
	use_frames = true;
}

static hpa_t alloc_table(void)
{
	return use_frames ? frame_alloc(FRAME_OWNER_KERNEL, FRAME_KERNEL, ORDER_4K)
			  : boot_alloc(PAGE_SIZE);
}

static u64 level_size(int level)
{
	return PAGE_SIZE << (9 * level);
}

// The largest page that fits: level 0 is 4 KiB, 1 is 2 MiB, 2 is 1 GiB.
static int choose_level(u64 va, u64 a, u64 size)
{
	for (int level = cpu_info.page_1g ? 2 : 1; level > 0; level--)
		if (IS_ALIGNED(va | a, level_size(level)) && size >= level_size(level))
			return level;
	return 0;
}

// Sets one entry at the level, or leaves alone what is there; how many bytes of addresses that
// settles, 0: no memory.
static u64 map_one(u64 va, u64 a, int level, u64 flags)
{
	u64 *table = hpa_to_va(root);

	for (int l = 3;; l--) {
		u64 *entry = &table[va >> (PAGE_SHIFT + 9 * l) & 511];

		if (*entry & PTE_PRESENT && (l == 0 || *entry & PTE_LARGE))
			return level_size(l) - (va & (level_size(l) - 1));
		if (l == level && !(*entry & PTE_PRESENT)) {
			*entry = a | flags | (l > 0 ? PTE_LARGE : 0);
			return level_size(l);
		}
		if (!(*entry & PTE_PRESENT)) {
			hpa_t t = alloc_table();

			if (hpa_is_none(t))
				return 0;
			*entry = t.v | PTE_PRESENT | PTE_WRITE;
		}
		if (l == level)
			level--; // something smaller lives here already: go down into it
		table = hpa_to_va(hpa(*entry & PTE_ADDR));
	}
}

bool paging_map(u64 va, hpa_t a, u64 size, u64 flags)
{
	u64 done = 0;

	while (done < size) {
		int level = choose_level(va + done, a.v + done, size - done);
		u64 n = map_one(
			va + done, a.v + done, level, flags & (cpu_info.nx ? ~0ull : ~PTE_NX));

		if (n == 0)
			return false;
		done += n;
	}
	return true;
}

void paging_unmap(u64 va, u64 size)
{
	for (u64 at = va; at < va + size; at += PAGE_SIZE) {
		u64 *table = hpa_to_va(root);

		for (int l = 3; l > 0; l--) {
			u64 entry = table[at >> (PAGE_SHIFT + 9 * l) & 511];

			ASSERT(entry & PTE_PRESENT && !(entry & PTE_LARGE));
			table = hpa_to_va(hpa(entry & PTE_ADDR));
		}
		table[at >> PAGE_SHIFT & 511] = 0;
		tlb_flush_page((const void *)at);
	}
}

void paging_flush(void)
{
	cr3_write(root.v);
}

static void map_image(u64 start, u64 end, u64 flags, u64 direct_flags)
{
	paging_map(start, hpa(start - KERNEL_BASE), end - start, flags);
	paging_map(start - KERNEL_BASE + DIRECT_MAP, hpa(start - KERNEL_BASE), end - start,
		direct_flags);
}

// RAM and ACPI's parts of it, whole pages outwards; nothing else, so that no device is ever read by
// speculation.
static void map_ram(const struct boot_info *info)
{
	for (u32 i = 0; i < info->map_count; i++) {
		const struct boot_range *r = &info->map[i];
		u64 start = ALIGN_DOWN(r->start, PAGE_SIZE), end = ALIGN_UP(r->end, PAGE_SIZE);

		if (r->type == BOOT_RAM || r->type == BOOT_ACPI || r->type == BOOT_NVS)
			paging_map(DIRECT_MAP + start, hpa(start), end - start, MAP_DATA);
	}
	if (!hpa_is_none(info->module))
		paging_map(DIRECT_MAP + ALIGN_DOWN(info->module.v, PAGE_SIZE),
			hpa(ALIGN_DOWN(info->module.v, PAGE_SIZE)),
			ALIGN_UP(info->module_size + (info->module.v & (PAGE_SIZE - 1)), PAGE_SIZE),
			MAP_DATA);
}

void paging_init(const struct boot_info *info)
{
	root = boot_alloc(PAGE_SIZE);
	map_image((u64)text_start, (u64)rodata_start, MAP_CODE, MAP_CONST);
	map_image((u64)rodata_start, (u64)data_start, MAP_CONST, MAP_CONST);
	map_image((u64)data_start, (u64)image_end, MAP_DATA, MAP_DATA);
	map_ram(info);
	cr3_write(root.v);
}

void *mmio_map(hpa_t a, size_t size)
{
	u64 offset = a.v & (PAGE_SIZE - 1), at = mmio_next;
	u64 length = ALIGN_UP(size + offset, PAGE_SIZE);

	if (length >= 2 * MiB) // so that large pages fit
		at = ALIGN_UP(at, 2 * MiB) + ((a.v - offset) & (2 * MiB - 1));
	if (length == 0 || length > GiB || at + length > MMIO_AREA + 512 * GiB)
		return NULL;
	if (!paging_map(at, hpa(a.v - offset), length, MAP_DEVICE))
		return NULL;
	mmio_next = at + length;
	return (void *)(at + offset);
}

const void *paging_map_firmware(hpa_t a, size_t size)
{
	u64 start = ALIGN_DOWN(a.v, PAGE_SIZE), limit = 1ull << cpu_info.phys_bits;

	if (a.v >= limit || size > limit - a.v || size > 16 * MiB)
		return NULL;
	if (!paging_map(DIRECT_MAP + start, hpa(start), ALIGN_UP(a.v + size, PAGE_SIZE) - start,
		    MAP_CONST))
		return NULL;
	return hpa_to_va(a);
}
