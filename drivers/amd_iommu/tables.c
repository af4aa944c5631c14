// SPDX-License-Identifier: MIT
// A domain's page tables (2.2.3): four levels, pages of 4 KiB, each at its own physical address. An entry of the last level
// counts in bits that the IOMMU ignores how often its page was mapped, so one store changes both. Rights are
// always those to read and to write: so an entry that the IOMMU still remembers is never less than the one in memory.
#include "drivers/amd_iommu/amd_iommu_internal.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "lib/errno.h"

#define ENTRIES   512u
#define COUNT_MAX 63u
#define PAGES     (1ull << (9 * AMD_LEVELS))

int amd_tables_init(struct amd_domain *d)
{
	d->lock = SPINLOCK(LOCK_IOMMU);
	d->root = kmem_alloc(PAGE_SIZE, FRAME_OWNER_KERNEL);
	return d->root ? 0 : -ENOMEM;
}

static u32 count_get(u64 entry)
{
	return (u32)((entry >> 1 & 15) | (entry >> 7 & 3) << 4);
}

static u64 entry_make(u64 page, u64 count)
{
	if (!count)
		return 0;
	return page << PAGE_SHIFT | IOPTE_PRESENT | IOPTE_RIGHTS | (count & 15) << 1 |
	       (count >> 4) << 7;
}

// The table that the entry leads to, made if it may be; NULL.
static u64 *descend(u64 *entry, u32 level, bool make)
{
	u64 *table;

	if (*entry)
		return hpa_to_va(hpa(*entry & IOPTE_ADDRESS));
	table = make ? kmem_alloc(PAGE_SIZE, FRAME_OWNER_KERNEL) : NULL;
	if (table)
		WRITE_ONCE(*entry,
			va_to_hpa(table).v | IOPTE_PRESENT | IOPTE_RIGHTS | DTE_LEVELS(level));
	return table;
}

// The entry of the last level for the page; NULL: there is no memory for it, or no such page.
static u64 *find(struct amd_domain *d, u64 page, bool make)
{
	u64 *table = d->root;

	if (page >= PAGES)
		return NULL;
	for (u32 level = AMD_LEVELS - 1; table && level > 0; level--)
		table = descend(&table[page >> 9 * level & (ENTRIES - 1)], level, make);
	return table ? &table[page & (ENTRIES - 1)] : NULL;
}

static void unmap(struct amd_domain *d, u64 first, u64 last)
{
	u64 *entry = NULL;

	for (u64 page = first; page <= last; page++) {
		entry = entry && page % ENTRIES ? entry + 1 : find(d, page, false);
		ASSERT(entry && count_get(*entry));
		WRITE_ONCE(*entry, entry_make(page, count_get(*entry) - 1u));
	}
}

// How many of the pages could be mapped.
static u64 map(struct amd_domain *d, u64 first, u64 last)
{
	u64 *entry = NULL, page;

	for (page = first; page <= last; page++) {
		entry = entry && page % ENTRIES ? entry + 1 : find(d, page, true);
		if (!entry || count_get(*entry) == COUNT_MAX)
			break;
		WRITE_ONCE(*entry, entry_make(page, count_get(*entry) + 1u));
	}
	return page - first;
}

bool amd_tables_map(struct iommu_domain *domain, u64 first, u64 last)
{
	struct amd_domain *d = amd_domain_of(domain);
	u64 n;

	spin_lock(&d->lock);
	n = map(d, first, last);
	if (n && n <= last - first)
		unmap(d, first, first + n - 1);
	spin_unlock(&d->lock);
	return n > last - first;
}

void amd_tables_unmap(struct iommu_domain *domain, u64 first, u64 last)
{
	struct amd_domain *d = amd_domain_of(domain);

	spin_lock(&d->lock);
	unmap(d, first, last);
	spin_unlock(&d->lock);
}
