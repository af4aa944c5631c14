// SPDX-License-Identifier: MIT
// Instruction forms that software uses there must do at device memory what it does in RAM: result, registers and flags are compared.
// The 32-bit cell is the APIC timer's initial count, the 8-bit one a PCI function's interrupt line by ECAM.
#include "guest.h"
#include "apic.h"
#include "forms.h"
#include "pci.h"

#define CELL32 ((volatile void *)(APIC_DEFAULT + APIC_TIMER_INIT))
#define FLAGS  0x8D5 // OF SF ZF AF PF CF
#define HOLE   0xD0000000ull

static struct form_regs random_regs(void)
{
	return (struct form_regs){.a = random_odd(),
		.c = random_odd(),
		.d = random_below(100),
		.s = random64(),
		.flags = 2 | (random64() & FLAGS)};
}

static u64 load(volatile void *cell, u32 width)
{
	return width == 1 ? *(volatile u8 *)cell : *(volatile u32 *)cell;
}

static void store(volatile void *cell, u32 width, u64 v)
{
	if (width == 1)
		*(volatile u8 *)cell = (u8)v;
	else
		*(volatile u32 *)cell = (u32)v;
}

// The flags that the architecture defines after a form.
static u64 defined_flags(const struct form *f)
{
	if (!memcmp(f->name, "lods", 4)) // reckons after it
		return 0;
	if (!memcmp(f->name, "bt", 2))
		return 1;
	if (!memcmp(f->name, "and", 3) || !memcmp(f->name, "or", 2) || !memcmp(f->name, "xor", 3) ||
		!memcmp(f->name, "test", 4) || !memcmp(f->name, "lock_or", 7))
		return FLAGS & ~0x10ull;
	return FLAGS;
}

struct attempt {
	const struct form *f;
	volatile void *cell;
	struct form_regs *r;
};

static void attempt(void *arg)
{
	struct attempt *a = arg;

	form_enter(a->f->code, a->cell, a->r);
}

static bool carried_out(const struct form *f, volatile void *cell, struct form_regs *r)
{
	struct attempt a = {f, cell, r};
	int fault = try_call(attempt, &a);

	return check_quiet(fault == NO_FAULT, "%s at 0x%lx: vector %d", f->name, (u64)cell, fault);
}

static void compare(const struct form *f, volatile void *cell)
{
	struct form_regs ram = random_regs(), dev = ram;
	static u64 ram_cell[2];
	u64 start = random_odd(), mask = f->width == 1 ? 0xFF : 0xFFFFFFFF,
	    flags = defined_flags(f);

	ram_cell[0] = start;
	store(cell, f->width, start);
	form_enter(f->code, ram_cell, &ram);
	if (!carried_out(f, cell, &dev))
		return;
	check_quiet(load(cell, f->width) == (ram_cell[0] & mask),
		"%s of 0x%lx leaves 0x%lx, not 0x%lx", f->name, start & mask, load(cell, f->width),
		ram_cell[0] & mask);
	check_quiet(ram.a == dev.a && ram.c == dev.c && ram.d == dev.d && ram.s == dev.s,
		"%s of 0x%lx: RAX 0x%lx RCX 0x%lx RDX 0x%lx (RSI) 0x%lx, not 0x%lx 0x%lx 0x%lx 0x%lx",
		f->name, start & mask, dev.a, dev.c, dev.d, dev.s, ram.a, ram.c, ram.d, ram.s);
	check_quiet(((ram.flags ^ dev.flags) & flags) == 0, "%s of 0x%lx: flags 0x%lx, not 0x%lx",
		f->name, start & mask, dev.flags, ram.flags);
	check_quiet(ram.di_move == dev.di_move && ram.si_move == dev.si_move,
		"%s: RDI moved %ld, RSI %ld", f->name, (s64)dev.di_move, (s64)dev.si_move);
}

// Where nothing is, all ones are read, in every width; writes are lost.
static void compare_hole(const struct form *f)
{
	struct form_regs ram = random_regs(), dev = ram;
	static u64 ram_cell[2];

	ram_cell[0] = ~0ull;
	form_enter(f->code, ram_cell, &ram);
	if (!carried_out(f, (volatile void *)HOLE, &dev))
		return;
	check_quiet(ram.a == dev.a && ram.c == dev.c && ram.d == dev.d && ram.s == dev.s &&
			    ((ram.flags ^ dev.flags) & defined_flags(f)) == 0,
		"%s where nothing is: RAX 0x%lx RCX 0x%lx RDX 0x%lx flags 0x%lx, not 0x%lx 0x%lx 0x%lx 0x%lx",
		f->name, dev.a, dev.c, dev.d, dev.flags, ram.a, ram.c, ram.d, ram.flags);
}

static void test_faults(void);

void guest_main(void)
{
	pci_bdf console = pci_find(PCI_VIRTIO_VENDOR, PCI_VIRTIO_CONSOLE);
	u64 rounds = arg_number("n", 6);

	apic_enable();
	apic_write(APIC_LVT_TIMER, APIC_MASKED);
	check(console && pci_ecam(console), "there is a function with an interrupt line");
	for (const struct form *f = forms_exact; f < forms_odd; f++)
		for (u64 i = 0; i < rounds; i++) {
			if (f->width == 4)
				compare(f, CELL32);
			else if (f->width == 1)
				compare(f, pci_ecam(console) + 0x3C);
			if (!arg_given("qemu")) // gives zeros
				compare_hole(f);
		}
	print("%u forms\n", (u32)(forms_odd - forms_exact));
	test_faults();
}

// An access that crosses from device memory into a page that is not mapped, or is read-only, faults there.
static void load_across(void *arg)
{
	u64 v;

	__asm__ volatile("movq (%1), %0" : "=r"(v) : "r"(arg));
}

static void store_across(void *arg)
{
	__asm__ volatile("movq %1, (%0)" : : "r"(arg), "r"(0ull) : "memory");
}

static void test_faults(void)
{
	u64 last = 1ull << 39, edge = last - 4; // nothing is mapped from 512 GiB on
	int fault;

	map_mmio(last - 2 * MiB, 2 * MiB);
	fault = try_call(load_across, (void *)edge);
	check(fault == VEC_PF && try_cr2() == last, "a load that crosses into nothing: %d at 0x%lx",
		fault, try_cr2());
	fault = try_call(store_across, (void *)edge);
	check(fault == VEC_PF && try_cr2() == last && (try_error() & 2),
		"a store that crosses into nothing: %d at 0x%lx", fault, try_cr2());
}
