// SPDX-License-Identifier: MIT
// A guest's linear addresses: the walk of its page tables (APM vol. 2, chapter 5).
#include "kernel/vm/linear.h"
#include "kernel/x86/regs.h"
#include "lib/string.h"

#define PTE_PRESENT  BIT(0)
#define PTE_WRITE    BIT(1)
#define PTE_USER     BIT(2)
#define PTE_ACCESSED BIT(5)
#define PTE_DIRTY    BIT(6)
#define PTE_LARGE    BIT(7)
#define PTE_NX       BIT(63)
#define PTE_ADDR     0x000ffffffffff000ull

// Bits of a page fault's error code.
#define PF_PRESENT BIT(0)
#define PF_WRITE   BIT(1)
#define PF_USER    BIT(2)
#define PF_RSVD    BIT(3)
#define PF_FETCH   BIT(4)

struct walk {
	struct vcpu *v;
	u64 linear;
	unsigned access;
	struct hvm_paging paging;
	bool user;
	u64 rights;       // W and U of all levels, ANDed; NX of all levels, ORed
	const u64 *entry; // the last level's, where it is 8 bytes wide; else NULL
	u64 entry_value;
	struct page_fault *fault;
};

enum decode_mode linear_code_mode(const struct vcpu *v)
{
	struct hvm_paging p;

	hvm->paging_get(v, &p);
	if (linear_is_64bit(&p))
		return DECODE_64;
	if (!(p.cr0 & CR0_PE) || (v->rflags & RFLAGS_VM))
		return DECODE_16;
	return p.cs_attr & SEG_ATTR_D ? DECODE_32 : DECODE_16;
}

void *vcpu_ram(struct vcpu *v, u64 gpa)
{
	u64 page = gpa & ~(PAGE_SIZE - 1);
	struct ram_cache *c = &v->ram_cache[gpa >> PAGE_SHIFT & (ARRAY_SIZE(v->ram_cache) - 1)];

	if (!c->page || c->gpa != page) {
		u8 *p = gmap_ptr(&v->vm->gmap, page);

		if (!p)
			return NULL;
		*c = (struct ram_cache){page, p};
	}
	return c->page + (gpa & (PAGE_SIZE - 1));
}

static bool fail(struct walk *w, u64 error)
{
	if (w->user)
		error |= PF_USER;
	if (w->access & ACCESS_WRITE)
		error |= PF_WRITE;
	if ((w->access & ACCESS_EXEC) &&
		((w->paging.efer & EFER_NXE) || (w->paging.cr4 & CR4_SMEP)))
		error |= PF_FETCH;
	*w->fault = (struct page_fault){.address = w->linear, .error = (u32)error};
	return false;
}

static bool fail_fatal(struct walk *w)
{
	*w->fault = (struct page_fault){.address = w->linear, .fatal = true};
	return false;
}

static bool allowed(const struct walk *w)
{
	bool user_page = w->rights & PTE_USER;

	if (w->user && !user_page)
		return false;
	if (w->access & ACCESS_EXEC) {
		if ((w->paging.efer & EFER_NXE) && (w->rights & PTE_NX))
			return false;
		return w->user || !user_page || !(w->paging.cr4 & CR4_SMEP);
	}
	if (!w->user && user_page && (w->paging.cr4 & CR4_SMAP) && !(w->v->rflags & RFLAGS_AC))
		return false;
	if ((w->access & ACCESS_WRITE) && !(w->rights & PTE_WRITE))
		return !w->user && !(w->paging.cr0 & CR0_WP);
	return true;
}

static void add_rights(struct walk *w, u64 pte)
{
	w->rights = (w->rights & pte & (PTE_WRITE | PTE_USER)) | ((w->rights | pte) & PTE_NX);
}

static void set_bits(u64 *p, u64 seen, u64 bits, bool wide)
{
	if ((seen & bits) == bits)
		return;
	if (wide)
		atomic_or(p, bits);
	else
		__atomic_fetch_or((u32 *)p, (u32)bits, __ATOMIC_SEQ_CST);
}

// The kinds of entry: of 8 bytes that may map a large page or not, of 4 bytes likewise.
struct level {
	unsigned shift; // of the address bits below its index
	bool wide;
	bool large; // bit 7 makes it the last level
};

// One level: reads its entry once, checks it, sets what the processor sets. *leaf: it was the last
// level.
static bool level_step(struct walk *w, u64 table, struct level level, u64 *pte, bool *leaf)
{
	u64 index = w->linear >> level.shift & (level.wide ? 511 : 1023);
	u64 *p = vcpu_ram(w->v, table + index * (level.wide ? 8 : 4));

	if (!p)
		return fail_fatal(w);
	*pte = level.wide ? READ_ONCE(*p) : READ_ONCE(*(u32 *)p);
	*leaf = level.shift == PAGE_SHIFT || (level.large && (*pte & PTE_LARGE));
	if (!(*pte & PTE_PRESENT))
		return fail(w, 0);
	if (level.wide && !(w->paging.efer & EFER_NXE) && (*pte & PTE_NX))
		return fail(w, PF_PRESENT | PF_RSVD);
	add_rights(w, *pte);
	if (*leaf && !allowed(w))
		return fail(w, PF_PRESENT);
	set_bits(p, *pte, PTE_ACCESSED | (*leaf && (w->access & ACCESS_WRITE) ? PTE_DIRTY : 0),
		level.wide);
	w->entry = level.wide ? p : NULL;
	w->entry_value = *pte | PTE_ACCESSED;
	return true;
}

// The levels from `shift` down, of 8-byte entries: long mode, and PAE below its first level.
static bool walk_wide(struct walk *w, u64 table, unsigned shift, gpa_t *out)
{
	for (;; shift -= 9) {
		u64 pte, offset = BIT(shift) - 1;
		bool leaf;

		if (!level_step(w, table, (struct level){shift, true, shift <= 30}, &pte, &leaf))
			return false;
		table = pte & PTE_ADDR;
		if (leaf) {
			*out = gpa((table & ~offset) | (w->linear & offset));
			return true;
		}
	}
}

// PAE's first level: entries without rights and without an accessed bit.
static bool walk_pae(struct walk *w, gpa_t *out)
{
	u64 *p = vcpu_ram(w->v, (w->paging.cr3 & 0xffffffe0ull) + (w->linear >> 30 & 3) * 8);
	u64 pte;

	if (!p)
		return fail_fatal(w);
	pte = READ_ONCE(*p);
	if (!(pte & PTE_PRESENT))
		return fail(w, 0);
	return walk_wide(w, pte & PTE_ADDR, 21, out);
}

static bool walk_narrow(struct walk *w, gpa_t *out)
{
	struct level first = {22, false, w->paging.cr4 & CR4_PSE};
	bool leaf;
	u64 pte;

	if (!level_step(w, w->paging.cr3 & 0xfffff000ull, first, &pte, &leaf))
		return false;
	if (leaf) { // PSE-36: bits 20-13 are address bits 39-32
		*out = gpa((pte & 0xffc00000) | (pte >> 13 & 0xff) << 32 | (w->linear & 0x3fffff));
		return true;
	}
	if (!level_step(w, pte & 0xfffff000, (struct level){12, false, false}, &pte, &leaf))
		return false;
	*out = gpa((pte & 0xfffff000) | (w->linear & 0xfff));
	return true;
}

static bool translate(struct walk *w, gpa_t *out)
{
	const struct hvm_paging *p = &w->paging;

	if (!(p->efer & EFER_LMA)) {
		w->linear = (u32)w->linear;
	} else if ((u64)((s64)(w->linear << 16) >> 16) != w->linear) {
		*w->fault = (struct page_fault){.address = w->linear, .protection = true};
		return false;
	}
	if (!(p->cr0 & CR0_PG)) {
		*out = gpa(w->linear);
		return true;
	}
	w->user = p->cpl == 3;
	w->rights = PTE_WRITE | PTE_USER;
	if (p->efer & EFER_LMA)
		return walk_wide(w, p->cr3 & PTE_ADDR, 39, out);
	return p->cr4 & CR4_PAE ? walk_pae(w, out) : walk_narrow(w, out);
}

bool linear_translate(
	struct vcpu *v, u64 linear, unsigned access, gpa_t *out, struct page_fault *fault)
{
	struct walk w = {.v = v, .linear = linear, .access = access, .fault = fault};

	hvm->paging_get(v, &w.paging);
	return translate(&w, out);
}

const u8 *linear_code_page(
	struct vcpu *v, const struct hvm_paging *paging, u64 linear, struct page_fault *fault)
{
	struct walk w = {
		.v = v, .linear = linear, .access = ACCESS_EXEC, .fault = fault, .paging = *paging};
	struct code_cache *c = &v->code;
	const u8 *page;
	gpa_t at;

	if (!translate(&w, &at))
		return NULL;
	page = vcpu_ram(v, at.v & ~(PAGE_SIZE - 1));
	if (!page)
		fault->fatal = true;
	else if (w.entry)
		*c = (struct code_cache){
			linear & ~(PAGE_SIZE - 1), paging->cr3, w.entry, w.entry_value, page};
	return page;
}

size_t linear_fetch(struct vcpu *v, u8 *out, struct page_fault *fault)
{
	struct hvm_paging p;
	size_t have = 0;
	u64 linear;

	hvm->paging_get(v, &p);
	linear = linear_rip(v, &p);
	while (have < INSN_LENGTH_MAX) {
		size_t n = MIN(INSN_LENGTH_MAX - have, PAGE_SIZE - (linear & (PAGE_SIZE - 1)));
		const u8 *page = linear_code_page(v, &p, linear, fault);

		if (!page)
			break;
		memcpy(out + have, page + (linear & (PAGE_SIZE - 1)), n);
		have += n;
		linear += n;
	}
	return have;
}
