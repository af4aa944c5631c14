// SPDX-License-Identifier: GPL-2.0 OR MIT
// Which pages of its VM a back-end has got, and whether somebody still has one. A mapping goes with the file, but a page that was put
// into a pipe, sent without a copy, or is a disk's to fill, is held without one; it must not become another VM's before.
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/xarray.h>

#include "mezz.h"

void mezz_lent_init(struct mezz_lent *l)
{
	xa_init(&l->pages);
	l->next = 0;
}

/* A block's pages are one entry. */
int mezz_lent_note(struct mezz_lent *l, u64 at, u64 size)
{
	void *count = xa_mk_value(size >> PAGE_SHIFT);

	if (xa_load(&l->pages, PHYS_PFN(at)) == count)
		return 0;
	return xa_err(xa_store(&l->pages, PHYS_PFN(at), count, GFP_KERNEL));
}

/* Each has one reference of its own (memremap_pages, alloc_pages_exact). */
bool mezz_pages_held(unsigned long pfn, unsigned long count)
{
	for (unsigned long i = 0; i < count; i++)
		if (page_ref_count(pfn_to_page(pfn + i)) > 1)
			return true;
	return false;
}

/* Nothing is mapped any more, so who has no page now will not get one: what was looked at is not looked at again. */
bool mezz_lent_is_held(struct mezz_lent *l)
{
	unsigned long pfn;
	void *count;

	xa_for_each_start(&l->pages, pfn, count, l->next)
	{
		l->next = pfn;
		if (mezz_pages_held(pfn, xa_to_value(count)))
			return true;
		cond_resched();
	}
	return false;
}

void mezz_lent_destroy(struct mezz_lent *l)
{
	xa_destroy(&l->pages);
}
