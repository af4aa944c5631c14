// SPDX-License-Identifier: MIT
// Moving past an instruction that was carried out for the guest: on the path of most exits, so kept
// short.
#include "kernel/vm/access.h"
#include "kernel/vm/linear.h"
#include "lib/errno.h"

COLD static void single_step(struct vcpu *v)
{
	if (hvm->injecting(v))
		return;
	hvm->reg_set(v, HVM_DR6, hvm->reg_get(v, HVM_DR6) | BIT(14));
	vcpu_fault(v, VECTOR_DB, false, 0);
}

// A trap flag traps; a pointer that passes 4 GiB wraps unless the guest is in 64-bit mode.
static inline void advance(struct vcpu *v, unsigned length)
{
	u64 rip = v->rip + length;

	if (__builtin_expect((rip ^ v->rip) >> 32 != 0, 0) && linear_code_mode(v) != DECODE_64)
		rip = (u32)rip;
	v->rip = rip;
	if (__builtin_expect((v->rflags & (RFLAGS_TF | RFLAGS_RF)) != 0, 0)) {
		v->rflags &= ~RFLAGS_RF;
		if (v->rflags & RFLAGS_TF)
			single_step(v);
	}
}

void vcpu_advance(struct vcpu *v, unsigned length)
{
	advance(v, length);
}

// An instruction with prefixes, or at the end of a page. 0: the guest has got an exception instead.
static __attribute__((noinline)) unsigned decode_length(struct vcpu *v)
{
	u8 bytes[INSN_LENGTH_MAX];
	struct page_fault fault;
	struct insn insn;
	size_t n = linear_fetch(v, bytes, &fault);
	int err = n ? decode_insn(&insn, bytes, n, linear_code_mode(v)) : -EAGAIN;

	if (!err)
		return insn.length;
	if (err == -EAGAIN)
		vcpu_page_fault(v, &fault);
	return 0; // else another vcpu has changed it since: it runs again
}

static __attribute__((noinline)) const u8 *find_page(
	struct vcpu *v, const struct hvm_paging *p, u64 linear)
{
	struct page_fault fault; // decode_length, which comes next, finds it again

	return linear_code_page(v, p, linear, &fault);
}

// The page where rip lies, by the cache if it is still good.
static inline const u8 *code_page(struct vcpu *v, const struct hvm_paging *p, u64 linear)
{
	const struct code_cache *c = &v->code;

	if (c->page && c->linear == (linear & ~(PAGE_SIZE - 1)) && c->cr3 == p->cr3 &&
		READ_ONCE(*c->entry) == c->entry_value)
		return c->page;
	return find_page(v, p, linear);
}

void vcpu_skip(struct vcpu *v, const struct hvm_exit *exit)
{
	unsigned length = exit->length;

	if (!length) {
		struct hvm_paging p;
		const u8 *page;
		u64 linear, at;

		hvm->paging_get(v, &p);
		linear = linear_rip(v, &p);
		at = linear & (PAGE_SIZE - 1);
		page = code_page(v, &p, linear);
		if (page)
			length = decode_length_fast(page + at, PAGE_SIZE - at);
		if (!length)
			length = decode_length(v);
	}
	if (length)
		advance(v, length);
}
