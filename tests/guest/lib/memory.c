// SPDX-License-Identifier: MIT
// RAM for a guest's own use, and mappings of addresses above 4 GiB.
#include "guest.h"
#include "console.h"

#define MAP_MMIO 0x9B // present, writable, uncached, 2 MiB

extern u8 guest_end[];
extern u64 boot_pml4[512], boot_pdpt[512];

static u64 next, top;

void memory_init(u64 ram_top)
{
	next = ALIGN_UP((u64)guest_end, PAGE_SIZE);
	top = ram_top;
}

u64 memory_top(void)
{
	return top;
}

void *memory_pages(u32 n)
{
	u64 at = __atomic_fetch_add(&next, n * PAGE_SIZE, __ATOMIC_RELAXED);

	if (at + n * PAGE_SIZE > top) {
		print("out of memory: top 0x%lx\n", top);
		guest_exit(1);
	}
	return memset((void *)at, 0, n * PAGE_SIZE);
}

static u64 *table_below(u64 *entry)
{
	if (!*entry)
		*entry = (u64)memory_pages(1) | 7;
	return (u64 *)ALIGN_DOWN(*entry, PAGE_SIZE);
}

volatile void *map_mmio(u64 gpa, u64 size)
{
	u64 end = gpa + size;

	for (u64 at = ALIGN_DOWN(gpa, 2 * MiB); at < end; at += 2 * MiB) {
		u64 *pdpt = table_below(&boot_pml4[at >> 39 & 511]);
		u64 *pd = table_below(&pdpt[at >> 30 & 511]);

		if (at >= 4 * GiB)
			pd[at >> 21 & 511] = at | MAP_MMIO;
	}
	return (volatile void *)gpa;
}
