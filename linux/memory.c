// SPDX-License-Identifier: GPL-2.0 OR MIT
// Page structures for memory of other VMs, so that it can be given to devices (O_DIRECT) as a process's own. Linux does not know
// this memory: its map of the machine calls it reserved. It is made known as device memory, as Xen's unpopulated pages are, in pieces
// of up to 128 MiB, and stays known: who owns a piece changes, that it is RAM does not. What the kernel of Mezzanine has
// not lent reads as ones.
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/numa.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "mezz.h"

#define BLOCK (2ull << 20)
#define PIECE (128ull << 20)

static DEFINE_XARRAY(known); /* block -> its piece */
static DEFINE_MUTEX(adding);

/* The blocks around `at` that are RAM throughout, none of it ours, and not known yet. */
static bool find_piece(u64 at, u64 *start, u64 *end)
{
	struct mezz_range *r = (void *)get_zeroed_page(GFP_KERNEL);
	bool found = r && mezz_call(MEZZ_CALL_RAM, at, 0, r, sizeof(*r)) == sizeof(*r);

	if (found) {
		*start = ALIGN(max(r->start, ALIGN_DOWN(at, PIECE)), BLOCK);
		*end = ALIGN_DOWN(min(r->end, ALIGN_DOWN(at, PIECE) + PIECE), BLOCK);
	}
	free_page((unsigned long)r);
	return found && *start <= at && at < *end;
}

static struct dev_pagemap *piece_add(u64 at)
{
	struct dev_pagemap *map;
	u64 start, end;
	void *va;

	if (!find_piece(at, &start, &end))
		return NULL;
	map = kzalloc(sizeof(*map), GFP_KERNEL);
	if (!map)
		return NULL;
	map->type = MEMORY_DEVICE_GENERIC;
	map->nr_range = 1;
	map->range.start = start;
	map->range.end = end - 1;
	va = memremap_pages(map, NUMA_NO_NODE);
	if (IS_ERR(va)) {
		pr_err("mezz: memory %#llx-%#llx cannot be made known: error %ld\n", start, end - 1,
			PTR_ERR(va));
		kfree(map);
		return NULL;
	}
	for (u64 block = start; block < end; block += BLOCK)
		if (xa_is_err(xa_store(&known, block / BLOCK, map, GFP_KERNEL)))
			pr_warn_once("mezz: out of memory for the list of pages\n");
	return map;
}

struct page *mezz_page(u64 at)
{
	struct dev_pagemap *map = xa_load(&known, at / BLOCK);

	if (!map) {
		mutex_lock(&adding);
		map = xa_load(&known, at / BLOCK);
		if (!map)
			map = piece_add(at);
		mutex_unlock(&adding);
	}
	return map ? pfn_to_page(PHYS_PFN(at)) : NULL;
}

void mezz_memory_exit(void)
{
	struct dev_pagemap *map, *last = NULL;
	unsigned long index;

	xa_for_each(&known, index, map)
	{
		if (map == last) /* a piece's blocks follow each other */
			continue;
		if (last) {
			memunmap_pages(last);
			kfree(last);
		}
		last = map;
	}
	if (last) {
		memunmap_pages(last);
		kfree(last);
	}
	xa_destroy(&known);
}
