// SPDX-License-Identifier: MIT
// Control registers: combinations that the architecture forbids must fault, all others must be survived.
// QEMU looks at none of CR0's and few of CR4's, and those are not intercepted: `strict` asks for all of them, for
// real hardware and Bochs; `paging`, `protection`,
// `pae` and `nw` do what then goes wrong in the guest alone.
// Source: AMD APM 2, section 3.1; SDM 3A, section 2.5.
#include "guest.h"
#include "smp.h"

static void expect_gp(int fault, const char *what)
{
	check(fault == VEC_GP, "%s: %s (%d)", what, fault == VEC_GP ? "#GP" : "no #GP", fault);
}

static void write_high_cr8(void *arg)
{
	(void)arg;
	write_cr8(16);
}

static void read_cr1(void *arg)
{
	(void)arg;
	__asm__ volatile(".byte 0x0F, 0x20, 0xC8" : : : "rax"); // mov %cr1, %rax
}

static void write_cr5(void *arg)
{
	(void)arg;
	__asm__ volatile(".byte 0x0F, 0x22, 0xE8" : : : "memory"); // mov %rax, %cr5
}

static void test_cr0(void)
{
	u64 cr0 = read_cr0();

	if (!arg_given("strict"))
		return;
	expect_gp(try_write_cr0(cr0 & ~CR0_PG), "CR0.PG off in 64-bit mode");
	expect_gp(try_write_cr0(cr0 & ~CR0_PE), "CR0.PG without PE");
	expect_gp(try_write_cr0((cr0 | CR0_NW) & ~CR0_CD), "CR0.NW without CD");
	expect_gp(try_write_cr0(cr0 | BIT(32)), "CR0 bit 32");
	expect_gp(try_write_cr0(cr0 | BIT(63)), "CR0 bit 63");
	check(try_write_cr0(cr0 | CR0_CD) == NO_FAULT, "CR0.CD can be set");
	check(read_cr0() & CR0_CD, "and reads back");
	write_cr0(cr0);
}

static void test_cr4(void)
{
	u64 cr4 = read_cr4();

	if (arg_given("strict"))
		expect_gp(try_write_cr4(cr4 & ~CR4_PAE), "CR4.PAE off in long mode");
	expect_gp(try_write_cr4(cr4 | BIT(13)), "CR4.VMXE");
	expect_gp(try_write_cr4(cr4 | BIT(31)), "CR4 bit 31");
	expect_gp(try_write_cr4(cr4 | BIT(32)), "CR4 bit 32");
	expect_gp(try_write_cr4(cr4 | BIT(63)), "CR4 bit 63");
	if (cpuid(1, 0).c & BIT(17)) {
		u64 cr3 = read_cr3();

		write_cr3(cr3 | 8);
		expect_gp(try_write_cr4(cr4 | CR4_PCIDE), "CR4.PCIDE with a PCID in CR3");
		write_cr3(cr3);
	} else if (arg_given("strict")) {
		expect_gp(try_write_cr4(cr4 | CR4_PCIDE), "CR4.PCIDE, which CPUID does not offer");
	}
	check(read_cr4() == cr4, "CR4 is unchanged");
}

static void test_others(void)
{
	u64 efer = rdmsr(MSR_EFER), cr3 = read_cr3();

	expect_gp(try_write_cr3(cr3 | BIT(62)), "CR3 bit 62");
	check(read_cr3() == cr3, "CR3 is unchanged");
	expect_gp(try_call(write_high_cr8, NULL), "CR8 16");
	check(try_call(read_cr1, NULL) == VEC_UD, "CR1 is #UD");
	check(try_call(write_cr5, NULL) == VEC_UD, "CR5 is #UD");
	expect_gp(try_wrmsr(MSR_EFER, efer & ~EFER_LME), "EFER.LME off under paging");
	expect_gp(try_wrmsr(MSR_EFER, efer | EFER_SVME), "EFER.SVME");
	expect_gp(try_wrmsr(MSR_EFER, efer | BIT(1)), "EFER bit 1");
	expect_gp(try_wrmsr(MSR_EFER, efer | BIT(9)), "EFER bit 9");
	check(rdmsr(MSR_EFER) == efer, "EFER is unchanged");
}

// Any value; where the processor takes it, it is put back at once.
static void random_values(u64 n)
{
	u64 cr0 = read_cr0(), cr4 = read_cr4(), efer = rdmsr(MSR_EFER);
	bool strict = arg_given("strict");
	u64 set0 = strict ? 0 : CR0_PG | CR0_PE, keep0 = strict ? ~0ull : 0xFFFFFFFF & ~CR0_NW;
	u64 set4 = strict ? 0 : CR4_PAE;
	u32 taken = 0;

	while (n--) {
		u64 v = random64() & 1 ? BIT(random_below(64))
				       : random64() & random64() & random64();

		if (try_write_cr0(((random64() & 1 ? v : cr0 ^ v) & keep0) | set0) == NO_FAULT)
			taken++;
		write_cr0(cr0);
		if (try_write_cr4((random64() & 1 ? v : cr4 ^ v) | set4) == NO_FAULT)
			taken++;
		write_cr4(cr4);
		if (try_wrmsr(MSR_EFER, random64() & 1 ? v : efer ^ v) == NO_FAULT)
			taken++;
		wrmsr(MSR_EFER, efer);
	}
	check(taken, "%u random values were taken", taken);
	check(read_cr0() == cr0 && read_cr4() == cr4 && rdmsr(MSR_EFER) == efer,
		"all are as before");
}

static void lmsw(void *arg)
{
	__asm__ volatile("lmsw %0" : : "r"((u16)(u64)arg));
}

static void test_lmsw(void)
{
	u64 cr0 = read_cr0();

	check(try_call(lmsw, (void *)(cr0 | CR0_TS)) == NO_FAULT && (read_cr0() & CR0_TS),
		"LMSW sets TS");
	__asm__ volatile("clts");
	check(!(read_cr0() & CR0_TS), "CLTS clears it");
	check(try_call(lmsw, NULL) == NO_FAULT && (read_cr0() & CR0_PE), "LMSW cannot clear PE");
	write_cr0(cr0);
}

// Forbidden states: where the processor takes them, what follows ends this guest, and no more.
static void forbidden(void)
{
	u64 cr0 = read_cr0(), cr4 = read_cr4();

	if (arg_given("paging"))
		(void)try_write_cr0(cr0 & ~CR0_PG);
	if (arg_given("protection"))
		(void)try_write_cr0(cr0 & ~(CR0_PG | CR0_PE));
	if (arg_given("pae"))
		(void)try_write_cr4(cr4 & ~CR4_PAE);
	if (arg_given("nw"))
		(void)try_write_cr0((cr0 | CR0_NW) & ~CR0_CD);
	cpuid(0, 0);
	write_cr0(cr0);
	write_cr4(cr4);
}

void guest_main(void)
{
	forbidden();
	test_cr0();
	test_cr4();
	test_others();
	test_lmsw();
	random_values(arg_number("n", 2000));
	test_cr0();
}
