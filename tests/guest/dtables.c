// SPDX-License-Identifier: MIT
// Descriptor tables and selectors that make no sense, or lie in device memory: every fault is the guest's own.
#include "guest.h"
#include "apic.h"
#include "smp.h"

#define LDT_SEL (SEL_FREE + 16) // two descriptors

extern u64 boot_gdt[];
extern struct table_ptr boot_gdt_ptr;

static struct table_ptr idt_ptr;

static void do_lgdt(void *arg)
{
	lgdt(arg);
}
static void do_lidt(void *arg)
{
	lidt(arg);
}
static void do_ltr(void *arg)
{
	ltr((u16)(u64)arg);
}
static void do_lldt(void *arg)
{
	__asm__ volatile("lldt %0" : : "r"((u16)(u64)arg));
}

static void load_fs(void *arg)
{
	__asm__ volatile("mov %0, %%fs" : : "r"((u32)(u64)arg));
	__asm__ volatile("mov %0, %%fs" : : "r"(0));
}

static u64 canonical(u64 at)
{
	return (u64)((s64)(at << 16) >> 16);
}

static void test_random_tables(u64 n)
{
	u32 faults = 0;

	while (n--) {
		struct table_ptr p = {(u16)random_odd(), random_odd()}, seen;
		bool idt = random64() & 1;
		int fault = try_call(idt ? do_lidt : do_lgdt, &p);

		// No fault may come while the tables are nonsense; exits may.
		cpuid(0, 0);
		inb(0x3FD);
		if (idt)
			sidt(&seen);
		else
			sgdt(&seen);
		lgdt(&boot_gdt_ptr);
		lidt(&idt_ptr);
		faults += fault != NO_FAULT;
		if (fault == NO_FAULT && p.base == canonical(p.base)) // QEMU takes others, too
			check_quiet(seen.limit == p.limit && seen.base == p.base,
				"0x%x 0x%lx became 0x%x 0x%lx", p.limit, p.base, seen.limit,
				seen.base);
	}
	print("%u tables were refused\n", faults);
}

static void expect_fault(const char *what, void (*fn)(void *), u64 arg, int wanted)
{
	int fault = try_call(fn, (void *)arg);

	check(fault == wanted, "%s: %d", what, fault);
}

static void test_selectors(void)
{
	boot_gdt[SEL_FREE / 8] = 0;
	if (arg_given("strict")) // QEMU takes it
		expect_fault("LTR of the null selector", do_ltr, 0, VEC_GP);
	expect_fault("LTR of a code segment", do_ltr, SEL_CODE64, VEC_GP);
	expect_fault("LTR beyond the table", do_ltr, 0xFFF8, VEC_GP);
	expect_fault("LTR of the busy one", do_ltr, SEL_TSS, VEC_GP);
	expect_fault("LLDT of a data segment", do_lldt, SEL_DATA, VEC_GP);
	expect_fault("LLDT of nothing", do_lldt, 0, NO_FAULT);
	expect_fault("FS beyond the table", load_fs, 0xFFF8, VEC_GP);
	expect_fault("FS of an empty descriptor", load_fs, SEL_FREE, VEC_GP);
	boot_gdt[SEL_FREE / 8] = 0x00CF13000000FFFF;
	expect_fault("FS of one that is not present", load_fs, SEL_FREE, VEC_NP);
	expect_fault("FS of an LDT that is not there", load_fs, SEL_FREE | 4, VEC_GP);
}

static void set_ldt(u64 base, u32 limit)
{
	boot_gdt[LDT_SEL / 8] = (limit & 0xFFFF) | (base & 0xFFFFFF) << 16 | 0x82ull << 40 |
				(base >> 24 & 0xFF) << 56;
	boot_gdt[LDT_SEL / 8 + 1] = base >> 32;
	do_lldt((void *)(u64)LDT_SEL);
}

// The processor itself reads descriptors from device memory: it must not end the VM.
static void test_device_tables(void)
{
	static const u64 places[] = {0xD0000000, APIC_DEFAULT, IOAPIC_DEFAULT, 0xFFFFF000, 0xA0000};
	u32 others = 0;

	for (u32 i = 0; i < ARRAY_SIZE(places); i++) {
		set_ldt(places[i], 0xFFF);
		for (u32 sel = 4; sel < 0x100; sel += 24) {
			int fault = try_call(load_fs, (void *)(u64)sel);

			others += fault == VEC_DF || fault == VEC_MC;
		}
	}
	check(!others, "descriptors in device memory: only ordinary faults");
	do_lldt(NULL);
}

static void random_descriptors(u64 n)
{
	u32 taken = 0;

	while (n--) {
		boot_gdt[SEL_FREE / 8] = random64();
		boot_gdt[SEL_FREE / 8 + 1] = random64() & 1 ? 0 : random64();
		if (random64() & 1) {
			taken += try_call(load_fs, (void *)(u64)(SEL_FREE | random_below(4))) ==
				 NO_FAULT;
		} else {
			taken += try_call(do_lldt, (void *)(u64)SEL_FREE) == NO_FAULT;
			cpuid(0, 0);
			do_lldt(NULL);
		}
	}
	print("%u random descriptors were taken\n", taken);
}

static void random_tr(u64 n)
{
	while (n--) {
		u64 base = random_odd();

		boot_gdt[SEL_FREE / 8] =
			(random64() & 0x000FFFFFFFFFFFFF & ~0x0000FF0000000000) | 0x89ull << 40;
		boot_gdt[SEL_FREE / 8] &= ~(0xFull << 52);
		boot_gdt[SEL_FREE / 8 + 1] = base >> 32;
		if (try_call(do_ltr, (void *)(u64)SEL_FREE) == NO_FAULT) {
			cpuid(0, 0);
			inb(0x3FD);
		}
	}
	trap_init_cpu();
}

void guest_main(void)
{
	u64 n = arg_number("n", 500);

	sidt(&idt_ptr);
	test_selectors();
	test_random_tables(n);
	random_descriptors(n);
	random_tr(n);
	test_device_tables();
	test_selectors();
}
