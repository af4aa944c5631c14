// SPDX-License-Identifier: MIT
// A guest's linear addresses: the walk of its page tables, and reads and writes through them.
#pragma once

#include "kernel/vm/decode.h"
#include "kernel/vm/vm.h"
#include "kernel/x86/regs.h"

struct page_fault {
	u64 address;
	u32 error;       // error code as the processor pushes it
	bool fatal;      // a table lies outside RAM: not a page fault of the guest's
	bool protection; // the address is not canonical: #GP(0) instead
};

// The code size that CS and EFER give: for decode_insn.
enum decode_mode linear_code_mode(const struct vcpu *v);

// Translates one linear address. access: set of enum gmap_access, ACCESS_EXEC for instruction
// fetches; supervisor accesses that the processor itself makes are not asked for here. true: *out
// is the guest-physical address; the accessed and dirty bits are set as the processor sets them.
// false: *fault says why. Source: APM vol. 2, chapter 5.
bool linear_translate(
	struct vcpu *v, u64 linear, unsigned access, gpa_t *out, struct page_fault *fault);

// The next instruction's bytes, up to 15, across a page boundary if need be. Returns how many could
// be had (0: *fault).
size_t linear_fetch(struct vcpu *v, u8 *out, struct page_fault *fault);

static inline bool linear_is_64bit(const struct hvm_paging *p)
{
	return (p->efer & EFER_LMA) && (p->cs_attr & SEG_ATTR_L);
}

static inline u64 linear_rip(const struct vcpu *v, const struct hvm_paging *p)
{
	return linear_is_64bit(p) ? v->rip : (u32)(p->cs_base + v->rip);
}

// Where the page lies that holds the byte at `linear`, which is being executed; another vcpu may
// change it at any moment. Remembered in v->code. NULL: *fault says why.
const u8 *linear_code_page(
	struct vcpu *v, const struct hvm_paging *paging, u64 linear, struct page_fault *fault);

// Guest RAM by guest-physical address through the vcpu's small cache of translations; NULL: not
// RAM. Within a page.
void *vcpu_ram(struct vcpu *v, u64 gpa);
