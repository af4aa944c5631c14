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
	bool user;
	u64 cr0, cr4, efer;
	u64 rights; // W and U of all levels, ANDed; NX of all levels, ORed
	struct page_fault *fault;
};

enum decode_mode linear_code_mode(const struct vcpu *v)
{
	struct hvm_segment cs;

	if (!(hvm->reg_get(v, HVM_CR0) & CR0_PE))
		return DECODE_16;
	hvm->seg_get(v, SEG_CS, &cs);
	if ((hvm->reg_get(v, HVM_EFER) & EFER_LMA) && (cs.attr & SEG_ATTR_L))
		return DECODE_64;
	return (cs.attr & SEG_ATTR_D) && !(v->rflags & RFLAGS_VM) ? DECODE_32 : DECODE_16;
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
	if ((w->access & ACCESS_EXEC) && ((w->efer & EFER_NXE) || (w->cr4 & CR4_SMEP)))
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
		if ((w->efer & EFER_NXE) && (w->rights & PTE_NX))
			return false;
		return w->user || !user_page || !(w->cr4 & CR4_SMEP);
	}
	if (!w->user && user_page && (w->cr4 & CR4_SMAP) && !(w->v->rflags & RFLAGS_AC))
		return false;
	if ((w->access & ACCESS_WRITE) && !(w->rights & PTE_WRITE))
		return !w->user && !(w->cr0 & CR0_WP);
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

// One level: reads the entry, checks it, sets what the processor sets. The entry in *pte; false: *fault is filled.
static bool level_step(struct walk *w, u64 table, unsigned index, bool wide, bool leaf, u64 *pte)
{
	u64 *p = vcpu_ram(w->v, table + (u64)index * (wide ? 8 : 4));

	if (!p)
		return fail_fatal(w);
	*pte = wide ? READ_ONCE(*p) : READ_ONCE(*(u32 *)p);
	if (!(*pte & PTE_PRESENT))
		return fail(w, 0);
	if (wide && !(w->efer & EFER_NXE) && (*pte & PTE_NX))
		return fail(w, PF_PRESENT | PF_RSVD);
	add_rights(w, *pte);
	if (leaf && !allowed(w))
		return fail(w, PF_PRESENT);
	set_bits(p, *pte, PTE_ACCESSED | (leaf && (w->access & ACCESS_WRITE) ? PTE_DIRTY : 0), wide);
	return true;
}

// Long mode (4 levels) and PAE (3, of which the first has no rights).
static bool walk_wide(struct walk *w, u64 cr3, gpa_t *out)
{
	bool lma = w->efer & EFER_LMA;
	u64 table = lma ? cr3 & PTE_ADDR : cr3 & 0xffffffe0ull;
	u64 pte = 0;

	for (int level = lma ? 3 : 2;; level--) {
		unsigned shift = 12 + 9 * (unsigned)level;
		unsigned index = (unsigned)(w->linear >> shift & 511);

		if (!lma && level == 2) { // PDPTEs: present, no rights, no accessed bit
			u64 *p = vcpu_ram(w->v, table + (index & 3) * 8);

			if (!p)
				return fail_fatal(w);
			pte = READ_ONCE(*p);
			if (!(pte & PTE_PRESENT))
				return fail(w, 0);
			table = pte & PTE_ADDR;
			continue;
		}
		u64 *peek = vcpu_ram(w->v, table + index * 8);
		bool leaf = level == 0 || (peek && level <= 2 && (READ_ONCE(*peek) & PTE_LARGE));

		if (!level_step(w, table, index, true, leaf, &pte))
			return false;
		if (leaf) {
			u64 offset = BIT(shift) - 1;

			*out = gpa((pte & PTE_ADDR & ~offset) | (w->linear & offset));
			return true;
		}
		table = pte & PTE_ADDR;
	}
}

static bool walk_narrow(struct walk *w, u64 cr3, gpa_t *out)
{
	u64 table = cr3 & 0xfffff000ull, pte;
	u64 *peek = vcpu_ram(w->v, table + (w->linear >> 22 & 1023) * 4);
	bool large = peek && (w->cr4 & CR4_PSE) && (READ_ONCE(*(u32 *)peek) & PTE_LARGE);

	if (!level_step(w, table, (unsigned)(w->linear >> 22 & 1023), false, large, &pte))
		return false;
	if (large) { // PSE-36: bits 20-13 are address bits 39-32
		*out = gpa((pte & 0xffc00000) | (pte >> 13 & 0xff) << 32 | (w->linear & 0x3fffff));
		return true;
	}
	if (!level_step(w, pte & 0xfffff000, (unsigned)(w->linear >> 12 & 1023), false, true, &pte))
		return false;
	*out = gpa((pte & 0xfffff000) | (w->linear & 0xfff));
	return true;
}

bool linear_translate(struct vcpu *v, u64 linear, unsigned access, gpa_t *out, struct page_fault *fault)
{
	struct hvm_segment ss;
	struct walk w = {
		.v = v, .linear = linear, .access = access, .fault = fault,
		.cr0 = hvm->reg_get(v, HVM_CR0), .rights = PTE_WRITE | PTE_USER,
	};

	if (!(w.cr0 & CR0_PG)) {
		*out = gpa((u32)linear);
		return true;
	}
	w.cr4 = hvm->reg_get(v, HVM_CR4);
	w.efer = hvm->reg_get(v, HVM_EFER);
	hvm->seg_get(v, SEG_SS, &ss);
	w.user = (ss.attr >> 5 & 3) == 3;
	if (!(w.efer & EFER_LMA))
		w.linear = (u32)linear;
	if (w.cr4 & CR4_PAE)
		return walk_wide(&w, hvm->reg_get(v, HVM_CR3), out);
	return walk_narrow(&w, hvm->reg_get(v, HVM_CR3), out);
}

size_t linear_fetch(struct vcpu *v, u8 *out, struct page_fault *fault)
{
	struct hvm_segment cs;
	size_t have = 0;
	u64 linear;

	hvm->seg_get(v, SEG_CS, &cs);
	linear = (hvm->reg_get(v, HVM_EFER) & EFER_LMA) && (cs.attr & SEG_ATTR_L) ? v->rip : (u32)(cs.base + v->rip);
	while (have < 15) {
		size_t n = MIN(15 - have, PAGE_SIZE - (linear & (PAGE_SIZE - 1)));
		gpa_t at;
		const u8 *p;

		if (!linear_translate(v, linear, ACCESS_EXEC, &at, fault))
			break;
		p = vcpu_ram(v, at.v);
		if (!p)
			break;
		memcpy(out + have, p, n);
		have += n;
		linear += n;
	}
	return have;
}
