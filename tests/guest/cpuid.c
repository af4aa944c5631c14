// SPDX-License-Identifier: MIT
// Every CPUID leaf and subleaf: none ends the guest, the answers repeat, and no virtualization is offered.
#include "guest.h"
#include "smp.h"

static u32 asked, differing;

static bool equal(struct regs4 x, struct regs4 y)
{
	return x.a == y.a && x.b == y.b && x.c == y.c && x.d == y.d;
}

static void ask(u32 leaf, u32 sub)
{
	asked++;
	differing += !equal(cpuid(leaf, sub), cpuid(leaf, sub));
}

static void ask_range(u32 first, u32 last, u32 subs)
{
	for (u32 leaf = first; leaf <= last; leaf++)
		for (u32 sub = 0; sub < subs; sub++)
			ask(leaf, sub);
}

static void test_offers(void)
{
	check(!(cpuid(0x80000001, 0).c & BIT(2)), "SVM is not offered");
	check(!(cpuid(1, 0).c & BIT(5)), "VMX is not offered");
	check(!(cpuid(1, 0).c & BIT(3)), "MONITOR is not offered");
	check(cpuid(1, 0).c & BIT(31), "a hypervisor is");
	check(cpuid(0, 0).a >= 7 && cpuid(0, 0).a <= 0x20, "last basic leaf 0x%x", cpuid(0, 0).a);
	check(cpuid(0x80000000, 0).a >= 0x80000008 && cpuid(0x80000000, 0).a <= 0x80000040,
		"last extended leaf 0x%x", cpuid(0x80000000, 0).a);
	check((cpuid(0x80000008, 0).a & 0xFF) >= 36 && (cpuid(0x80000008, 0).a & 0xFF) <= 52,
		"%u bits of physical address", cpuid(0x80000008, 0).a & 0xFF);
}

// OSXSAVE follows CR4; the size of the XSAVE area follows XCR0.
static void test_dynamic(void)
{
	u64 cr4 = read_cr4();

	if (!(cpuid(1, 0).c & BIT(26))) {
		check(!(cpuid(1, 0).c & BIT(27)), "no XSAVE, no OSXSAVE");
		return;
	}
	check(!(cpuid(1, 0).c & BIT(27)), "OSXSAVE is off at first");
	write_cr4(cr4 | CR4_OSXSAVE);
	check(cpuid(1, 0).c & BIT(27), "OSXSAVE follows CR4");
	check(cpuid(0xD, 0).b >= 576 && cpuid(0xD, 0).b <= cpuid(0xD, 0).c, "XSAVE area %u of %u",
		cpuid(0xD, 0).b, cpuid(0xD, 0).c);
	write_cr4(cr4);
	check(!(cpuid(1, 0).c & BIT(27)), "and off again");
}

static void check_topology(void *arg)
{
	(void)arg;
	check_quiet(cpuid(1, 0).b >> 24 == this_cpu()->apic_id,
		"CPU %u: leaf 1 has another APIC id", this_cpu()->index);
	if (cpuid(0, 0).a >= 0xB && (cpuid(0xB, 0).c >> 8 & 0xFF))
		check_quiet(cpuid(0xB, 0).d == this_cpu()->apic_id, "CPU %u: leaf 0xB says 0x%x",
			this_cpu()->index, cpuid(0xB, 0).d);
}

void guest_main(void)
{
	smp_start();
	test_offers();
	test_dynamic();
	smp_run_others(check_topology, NULL);
	smp_wait();
	check_topology(NULL);
	ask_range(0, 0x20, 40);
	ask_range(0x40000000, 0x40000010, 4);
	ask_range(0x40000100, 0x40000110, 4);
	ask_range(0x80000000, 0x80000028, 8);
	for (u64 i = arg_number("n", 500); i; i--)
		ask((u32)random_odd(), (u32)random_odd());
	check(!differing, "%u questions, %u with two answers", asked, differing);
}
