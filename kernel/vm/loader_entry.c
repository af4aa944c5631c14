// SPDX-License-Identifier: MIT
// The state of vcpu 0 at a kernel's entry: flat protected mode, or long mode with an identity map.

#include "kernel/vm/loader_parts.h"
#include "lib/errno.h"
#include "lib/string.h"

// Selectors as the Linux boot protocol wants them; the other protocols leave them open.
#define BOOT_CS 0x10u
#define BOOT_DS 0x18u
#define BOOT_TR 0x20u

#define CODE_32 0xc9bu // 4 GiB, execute/read, accessed, 32-bit
#define CODE_64 0xa9bu
#define DATA    0xc93u
#define TSS     0x08bu

#define CR0_PE   BIT(0)
#define CR0_ET   BIT(4)
#define CR0_PG   BIT(31)
#define CR4_PAE  BIT(5)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)

#define RFLAGS_FIXED 2u

#define PTE_PRESENT  BIT(0)
#define PTE_WRITE    BIT(1)
#define PTE_LARGE    BIT(7)
#define IDENTITY_GIB 4u

// A descriptor with limit 4 GiB - 1 (or the TSS's) and base 0.
static u64 descriptor(u16 attr, u32 limit)
{
	return (limit & 0xffffu) | (u64)(limit >> 16 & 0xfu) << 48 | (u64)(attr & 0xffu) << 40 |
	       (u64)(attr >> 8) << 52;
}

static void set_segment(struct vcpu *v, enum hvm_seg s, u16 selector, u16 attr, u32 limit)
{
	struct hvm_segment segment = {.selector = selector, .attr = attr, .limit = limit};

	hvm->seg_set(v, s, &segment);
}

static int enter(struct load *l, u64 entry, u16 code)
{
	static const enum hvm_seg data[] = {SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS};
	struct vcpu *v = l->vm->vcpus[0];
	u64 gdt[6] = {0, 0, descriptor(code, 0xfffff), descriptor(DATA, 0xfffff),
		descriptor(TSS, 0x67), 0};
	u64 at = load_low_put(l, gdt, sizeof(gdt));
	struct hvm_segment gdtr = {.limit = sizeof(gdt) - 1, .base = at}, idtr = {0};

	if (!at)
		return -ENOMEM;
	set_segment(v, SEG_CS, BOOT_CS, code, ~0u);
	for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
		set_segment(v, data[i], BOOT_DS, DATA, ~0u);
	set_segment(v, SEG_TR, BOOT_TR, TSS, 0x67);
	set_segment(v, SEG_LDTR, 0, 0, 0);
	hvm->seg_set(v, SEG_GDTR, &gdtr);
	hvm->seg_set(v, SEG_IDTR, &idtr);
	memset(v->gpr, 0, sizeof(v->gpr));
	v->rip = entry;
	v->rflags = RFLAGS_FIXED;
	return 0;
}

int load_enter_32(struct load *l, u64 entry)
{
	struct vcpu *v = l->vm->vcpus[0];

	hvm->reg_set(v, HVM_CR4, 0);
	hvm->reg_set(v, HVM_EFER, 0);
	hvm->reg_set(v, HVM_CR0, CR0_PE | CR0_ET);
	return enter(l, entry, CODE_32);
}

static bool put_entry(struct load *l, u64 table, unsigned index, u64 value)
{
	return guest_write(l->vm, gpa(table + index * sizeof(value)), &value, sizeof(value));
}

// 2 MiB pages; every processor has those. Returns the top table; 0: out of memory.
static u64 identity_map(struct load *l)
{
	u64 room = load_low_take(l, (2 + IDENTITY_GIB + 1) * PAGE_SIZE), top, dirs;

	if (!room)
		return 0;
	top = ALIGN_UP(room, PAGE_SIZE);
	dirs = top + 2 * PAGE_SIZE;
	if (load_zero(l, top, 2 * PAGE_SIZE) ||
		!put_entry(l, top, 0, (top + PAGE_SIZE) | PTE_PRESENT | PTE_WRITE))
		return 0;
	for (unsigned i = 0; i < IDENTITY_GIB; i++)
		if (!put_entry(l, top + PAGE_SIZE, i,
			    (dirs + i * PAGE_SIZE) | PTE_PRESENT | PTE_WRITE))
			return 0;
	for (unsigned i = 0; i < IDENTITY_GIB * 512; i++)
		if (!put_entry(l, dirs, i, i * 2 * MiB | PTE_PRESENT | PTE_WRITE | PTE_LARGE))
			return 0;
	return top;
}

int load_enter_64(struct load *l, u64 entry)
{
	struct vcpu *v = l->vm->vcpus[0];
	u64 map = identity_map(l);

	if (!map) {
		l->why = "out of memory";
		return -ENOMEM;
	}
	hvm->reg_set(v, HVM_CR3, map);
	hvm->reg_set(v, HVM_CR4, CR4_PAE);
	hvm->reg_set(v, HVM_EFER, EFER_LME | EFER_LMA);
	hvm->reg_set(v, HVM_CR0, CR0_PE | CR0_ET | CR0_PG);
	return enter(l, entry, CODE_64);
}
