/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What the parts of the module share. */
#pragma once

#include <asm/kvm_para.h>
#include <linux/io.h>
#include <linux/xarray.h>

#include "abi/dev_mezz.h"

struct eventfd_ctx;
struct file;
struct page;
struct vm_area_struct;

/* `at` points into one page of the direct map; NULL: the call has no buffer. */
static inline long mezz_call(u64 nr, u64 a, u64 b, void *at, size_t size)
{
	return kvm_hypercall4(nr, a, b, at ? virt_to_phys(at) : 0, size);
}

/* backend.c: the open file as a VM's back-end. */
long mezz_backend_attach(struct file *file, const struct mezz_attach *a);
void mezz_backend_detach(struct file *file);
int mezz_backend_mmap(struct file *file, struct vm_area_struct *vma);
bool mezz_backend_allows(struct file *file, u64 nr, u64 argument);
void mezz_backends_free(void); /* at the end: no file is open, none is waited for */

/* create.c: MEZZ_CREATE */
long mezz_create_vm(const struct mezz_create *c);

/* event.c: who is woken when bells of a VM ring; NULL: nobody. */
int mezz_events_init(void);
void mezz_events_exit(void);
void mezz_events_set(u32 vm, struct eventfd_ctx *ctx);

/* lent.c: the pages that a file got of its VM. They are noted before they are mapped (0 or -ENOMEM); whether somebody holds one is asked
 * when the file is closed, and nothing mapped. */
struct mezz_lent {
	struct xarray pages;
	unsigned long next; /* that is looked at */
};
void mezz_lent_init(struct mezz_lent *l);
void mezz_lent_destroy(struct mezz_lent *l);
int mezz_lent_note(struct mezz_lent *l, u64 at, u64 size);
bool mezz_lent_is_held(struct mezz_lent *l);
bool mezz_pages_held(unsigned long pfn, unsigned long count);

/* memory.c: the page structure of memory that the kernel of Mezzanine has lent, a block of 2 MiB or a page; NULL: there is none to be
 * had. It stays until the module goes. */
struct page *mezz_page(u64 at);
void mezz_memory_exit(void);
