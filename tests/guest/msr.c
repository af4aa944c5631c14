// SPDX-License-Identifier: MIT
// A sweep over MSR numbers: each is read, then written with 0, all ones, its own value and random ones. Faults are
// taken; what could be changed is put back.
#include "guest.h"
#include "apic.h"
#include "smp.h"

struct range {
	u32 first, last;
};

static const struct range ranges[] = {{0x0, 0x1FFF}, {0x40000000, 0x400000FF},
	{0x4B564D00, 0x4B564DFF}, {0xC0000000, 0xC0001FFF}, {0xC0010000, 0xC0011FFF}};

static u32 readable, writable, refused, strange;

// Writes that would rightly end the guest, or make the host write into its memory.
static bool leave_alone(u32 msr, u64 v)
{
	u64 page = v & ~0xFFFull;

	switch (msr) {
	case MSR_APIC_BASE: // the page could come to lie on the guest's own RAM
		return true;
	case 0x830: // x2APIC's ICR: INIT or an NMI to itself
		return apic_is_x2();
	case 0x11: // kvm-clock and the like: the host would write into RAM
	case 0x12:
		return page < memory_top();
	default:
		return msr >> 8 == 0x4B564D && page < memory_top();
	}
}

static bool try_value(u32 msr, u64 v)
{
	int fault;

	if (leave_alone(msr, v))
		return false;
	fault = try_wrmsr(msr, v);
	if (fault == VEC_GP)
		refused++;
	else if (fault != NO_FAULT)
		strange++;
	return fault == NO_FAULT;
}

static void sweep(u32 msr)
{
	u64 old;
	int fault = try_rdmsr(msr, &old);
	bool written = false;

	if (fault != NO_FAULT && fault != VEC_GP)
		strange++;
	readable += fault == NO_FAULT;
	written |= try_value(msr, 0);
	written |= try_value(msr, ~0ull);
	written |= try_value(msr, random64());
	written |= try_value(msr, random_odd());
	if (fault == NO_FAULT)
		written |= try_value(msr, old);
	writable += written;
}

static void expect_gp(u32 msr, u64 v, const char *what)
{
	check(try_wrmsr(msr, v) == VEC_GP, "%s faults", what);
}

static void test_must_fault(void)
{
	u64 efer = rdmsr(MSR_EFER), v;

	expect_gp(MSR_EFER, efer | EFER_SVME, "EFER.SVME");
	expect_gp(MSR_EFER, efer & ~EFER_LME, "clearing EFER.LME under paging");
	expect_gp(MSR_EFER, efer | BIT(40), "a reserved bit of EFER");
	expect_gp(0x12345678, 0, "an MSR that nobody has");
	expect_gp(0x277, 0x0202020202020202, "a reserved type in PAT");
	check(try_rdmsr(0x12345678, &v) == VEC_GP, "and its reading");
	check(try_rdmsr(0xC0010117, &v) == VEC_GP || v == 0,
		"VM_HSAVE_PA shows nothing of the host");
	if (!arg_given("strict")) // QEMU's WRMSR takes any base where it is not intercepted
		return;
	for (u32 msr = MSR_FS_BASE; msr <= MSR_FS_BASE + 2; msr++)
		expect_gp(msr, 0x800000000000, "a non-canonical segment base");
	expect_gp(0xC0000082, BIT(63), "a non-canonical LSTAR");
	expect_gp(0xC0000083, 0xFFFF000000000000, "a non-canonical CSTAR");
	expect_gp(0x175, 0x1000000000000, "a non-canonical SYSENTER_ESP");
	expect_gp(0x176, 0x8000000000000000, "a non-canonical SYSENTER_EIP");
}

static void test_kept(void)
{
	static const u32 kept[] = {
		MSR_FS_BASE, MSR_GS_BASE, 0xC0000102, 0xC0000082, 0xC0000083, 0x175, 0x176};
	u64 values[ARRAY_SIZE(kept)];

	for (u32 i = 0; i < ARRAY_SIZE(kept); i++) {
		values[i] = random64() >> 17;
		wrmsr(kept[i], values[i]);
	}
	for (u32 i = 0; i < ARRAY_SIZE(kept); i++) {
		cpuid(0, 0);
		check_quiet(rdmsr(kept[i]) == values[i], "MSR 0x%x holds 0x%lx", kept[i],
			rdmsr(kept[i]));
		wrmsr(kept[i], 0);
	}
}

void guest_main(void)
{
	test_must_fault();
	test_kept();
	for (u32 i = 0; i < ARRAY_SIZE(ranges); i++)
		for (u32 msr = ranges[i].first; msr <= ranges[i].last; msr++)
			sweep(msr);
	for (u64 i = arg_number("n", 2000); i; i--)
		sweep((u32)random_odd());
	print("%u readable, %u writable, %u writes refused\n", readable, writable, refused);
	if (apic_has_x2() &&
		try_wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_X2) == NO_FAULT)
		for (u32 msr = 0x800; msr <= 0x8FF; msr++)
			sweep(msr);
	check(!strange, "no other exception than #GP (%u)", strange);
	check(rdmsr(MSR_EFER) & EFER_LMA, "still in long mode");
	test_must_fault();
}
