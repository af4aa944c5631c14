// SPDX-License-Identifier: MIT
// The pages of a snapshot, in a table of two levels.
#include "kernel/mono/disk_pages.h"

#include "kernel/core/frame.h"
#include "kernel/core/pcpu.h"
#include "kernel/vm/vm.h"
#include "kernel/vm/vm_list.h"

#define ENTRIES (PAGE_SIZE / sizeof(u8 *))

static u64 tables_of(u64 pages)
{
	return ALIGN_UP(pages, ENTRIES) / ENTRIES;
}

bool disk_pages_init(struct disk_pages *p, struct vm *vm, u64 pages)
{
	u64 promise = pages + tables_of(pages);
	// The VM itself is not in the list yet.
	u64 taken = vm_list_promised() + vm->config->memory / PAGE_SIZE + vm->promised;

	*p = (struct disk_pages){.vm = vm, .pages = pages};
	if (promise + taken > frame_free_count())
		return false;
	p->table = kmem_alloc(tables_of(pages) * sizeof(*p->table), vm->id);
	if (!p->table)
		return false;
	vm->promised += promise;
	return true;
}

static void *page_alloc(struct vm *vm)
{
	hpa_t a = frame_alloc(vm->id, FRAME_GUEST, ORDER_4K);

	if (hpa_is_none(a))
		return NULL;
	if (vm->promised)
		vm->promised--;
	return hpa_to_va(a);
}

static void page_free(struct vm *vm, void *page)
{
	frame_free(va_to_hpa(page), ORDER_4K);
	vm->promised++;
}

void disk_pages_destroy(struct disk_pages *p)
{
	if (!p->table)
		return;
	for (u64 t = 0; t < tables_of(p->pages); t++) {
		for (u64 i = 0; p->table[t] && i < ENTRIES; i++)
			if (p->table[t][i])
				page_free(p->vm, p->table[t][i]);
		if (p->table[t])
			page_free(p->vm, p->table[t]);
	}
	kmem_free(p->table, tables_of(p->pages) * sizeof(*p->table));
	p->table = NULL;
}

u8 *disk_pages_get(const struct disk_pages *p, u64 i)
{
	u8 **table = p->table[i / ENTRIES];

	return table ? table[i % ENTRIES] : NULL;
}

u8 *disk_pages_make(struct disk_pages *p, u64 i, bool *fresh)
{
	u8 ***table = &p->table[i / ENTRIES];
	u8 **page;

	*fresh = false;
	if (!*table && !(*table = page_alloc(p->vm)))
		return NULL;
	page = &(*table)[i % ENTRIES];
	if (!*page) {
		*page = page_alloc(p->vm);
		*fresh = *page;
	}
	return *page;
}

void disk_pages_drop(struct disk_pages *p, u64 i)
{
	u8 **table = p->table[i / ENTRIES];

	if (!table || !table[i % ENTRIES])
		return;
	page_free(p->vm, table[i % ENTRIES]);
	table[i % ENTRIES] = NULL;
}
