// SPDX-License-Identifier: MIT
// The window's page tables (APM vol. 2, 5.3): one page directory for each piece, which comes and goes with it.
#include "kernel/x86/window.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/pcpu.h" // for arch.h: the real one, or the fake one of a test
#include "kernel/x86/cpu.h"
#include "kernel/x86/paging.h"

#define ENTRIES 512u
#define BLOCK   (2 * MiB)

static u64 *pieces; // an entry for each

static u64 *table(u64 entry)
{
	return hpa_to_va(hpa(entry & PTE_ADDR));
}

static u64 *table_get(u64 *entry, u16 owner)
{
	hpa_t a;

	if (!(*entry & PTE_PRESENT)) {
		a = frame_alloc(owner, FRAME_KERNEL, ORDER_4K);
		if (hpa_is_none(a))
			return NULL;
		*entry = a.v | PTE_PRESENT | PTE_WRITE;
	}
	return table(*entry);
}

bool window_init(void)
{
	u64 *root = hpa_to_va(paging_root());

	pieces = table_get(&root[WINDOW_AREA >> 39 & (ENTRIES - 1)], FRAME_OWNER_KERNEL);
	return pieces != NULL;
}

void *window_at(unsigned n)
{
	return (void *)(WINDOW_AREA + n * WINDOW_PIECE);
}

// Not global, so that paging_flush has them forgotten.
static bool map(u64 *entry, enum frame_order order, u16 owner)
{
	u64 flags = MAP_DATA & ~PTE_GLOBAL & (cpu_info.nx ? ~0ull : ~PTE_NX);
	hpa_t a = frame_alloc(owner, FRAME_KERNEL, order);

	if (hpa_is_none(a))
		return false;
	*entry = a.v | flags | (order == ORDER_2M ? PTE_LARGE : 0);
	return true;
}

u64 window_grow(unsigned n, u64 at, u64 left, u16 owner)
{
	u64 *directory, *pages;

	ASSERT(n < WINDOW_PIECES && at < WINDOW_PIECE && IS_ALIGNED(at | left, PAGE_SIZE));
	directory = table_get(&pieces[n], owner);
	if (!directory)
		return 0;
	directory += at / BLOCK;
	if (IS_ALIGNED(at, BLOCK) && left >= BLOCK && map(directory, ORDER_2M, owner))
		return BLOCK;
	pages = table_get(directory, owner);
	if (!pages || !map(&pages[at / PAGE_SIZE % ENTRIES], ORDER_4K, owner))
		return 0;
	return PAGE_SIZE;
}

static void free_pages(u64 *pages)
{
	for (unsigned i = 0; i < ENTRIES && pages[i] & PTE_PRESENT; i++)
		frame_free(hpa(pages[i] & PTE_ADDR), ORDER_4K);
	frame_free(va_to_hpa(pages), ORDER_4K);
}

void *window_close(unsigned n)
{
	u64 entry = pieces[n];

	atomic_store(&pieces[n], 0);
	return entry & PTE_PRESENT ? table(entry) : NULL;
}

void window_free(void *closed)
{
	u64 *directory = closed;

	if (!directory)
		return;
	for (unsigned i = 0; i < ENTRIES && directory[i] & PTE_PRESENT; i++) {
		if (directory[i] & PTE_LARGE)
			frame_free(hpa(directory[i] & PTE_ADDR), ORDER_2M);
		else
			free_pages(table(directory[i]));
	}
	frame_free(va_to_hpa(directory), ORDER_4K);
}
