// SPDX-License-Identifier: MIT
// The local APIC of one CPU, in both modes: registers, self IPIs, priorities, EOI, logical names, modes.
#include "guest.h"
#include "apic.h"
#include "irq.h"

static const char *mode;

static void self(u32 vector)
{
	apic_ipi(0, APIC_TO_SELF | APIC_ASSERT | vector);
}

static void test_registers(void)
{
	u32 version = apic_read(APIC_VERSION);

	check(apic_id() == cpuid(1, 0).b >> 24, "%s: id %u is CPUID's", mode, apic_id());
	check((version & 0xF0) == 0x10 && (version >> 16 & 0xFF) >= 3, "%s: version 0x%x", mode,
		version);
	check(apic_read(APIC_SVR) == (0x100 | SPURIOUS_VECTOR), "%s: SVR reads back", mode);
	apic_write(APIC_LVT_ERROR, 0x31);
	check(apic_read(APIC_LVT_ERROR) == 0x31, "%s: LVT error reads back", mode);
	if (!arg_given("qemu")) { // QEMU leaves the masks alone
		apic_write(APIC_SVR, SPURIOUS_VECTOR);
		check(apic_read(APIC_LVT_ERROR) & APIC_MASKED, "%s: disabling masks the LVT", mode);
		apic_write(APIC_LVT_ERROR, 0x31);
		check(apic_read(APIC_LVT_ERROR) & APIC_MASKED, "%s: and keeps it masked", mode);
		apic_enable();
	}
	apic_write(APIC_LVT_ERROR, APIC_MASKED);
}

static void expect_self(const char *how, u32 vector, void (*send)(u32))
{
	irq_count(vector);
	send(vector);
	check(apic_bit(APIC_IRR, vector) && !irq_hits(vector), "%s: %s: waits in IRR", mode, how);
	irq_window();
	check(irq_hits(vector) == 1, "%s: %s: comes once", mode, how);
	check(!apic_bit(APIC_IRR, vector) && !apic_bit(APIC_ISR, vector),
		"%s: %s: IRR and ISR clear after", mode, how);
}

static void send_by_id(u32 vector)
{
	apic_ipi(apic_id(), APIC_ASSERT | vector);
}
static void send_by_register(u32 vector)
{
	apic_write(APIC_SELF_IPI, vector);
}

static void test_self(void)
{
	expect_self("shorthand", 0x51, self);
	expect_self("own id", 0x52, send_by_id);
	expect_self("vector 16 + 15", 0x1F, self);
	if (apic_is_x2())
		expect_self("self-IPI register", 0x53, send_by_register);
	self(0x51);
	self(0x51);
	irq_forget(0x51);
	irq_window();
	check(irq_hits(0x51) == 1, "%s: two of one vector become one", mode);
}

static void test_priority(void)
{
	u8 seen[4];

	irq_count(0x48);
	irq_count(0x61);
	apic_write(APIC_TPR, 0x50);
	check(read_cr8() == 5 && apic_read(APIC_PPR) == 0x50, "%s: TPR 0x50: CR8 %lu, PPR 0x%x",
		mode, read_cr8(), apic_read(APIC_PPR));
	self(0x48);
	self(0x61);
	irq_window();
	check(irq_hits(0x61) == 1 && irq_hits(0x48) == 0, "%s: TPR holds back the lower one", mode);
	irq_enable();
	write_cr8(4);
	__asm__ volatile("nop");
	check(irq_hits(0x48) == 0, "%s: CR8 4 still holds back 0x48", mode);
	write_cr8(3);
	__asm__ volatile("nop");
	irq_disable();
	check(irq_hits(0x48) == 1 && apic_read(APIC_TPR) == 0x30, "%s: CR8 3 lets it in, TPR 0x%x",
		mode, apic_read(APIC_TPR));
	write_cr8(0);

	irq_count(0x41);
	irq_count(0x73);
	irq_count(0x52);
	irq_order(seen, 4);
	self(0x41);
	self(0x73);
	self(0x52);
	irq_window();
	check(irq_order(seen, 4) == 3 && seen[0] == 0x73 && seen[1] == 0x52 && seen[2] == 0x41,
		"%s: the highest vector first", mode);
}

static volatile u32 nested_high, nested_same, isr_both, after_one_eoi;

static void outer(struct trap *t)
{
	(void)t;
	irq_enable();
	self(0x42);
	__asm__ volatile("nop");
	nested_same = irq_hits(0x42);
	trap_handle(0x83, NULL);
	irq_count(0x74);
	self(0x74);
	__asm__ volatile("nop");
	nested_high = irq_hits(0x74);
	irq_disable();
	apic_eoi();
}

static void inner_late_eoi(struct trap *t)
{
	(void)t;
	isr_both = apic_bit(APIC_ISR, 0x43) && apic_bit(APIC_ISR, 0x83);
	apic_eoi();
	after_one_eoi = apic_bit(APIC_ISR, 0x43) && !apic_bit(APIC_ISR, 0x83);
}

static void outer_two(struct trap *t)
{
	(void)t;
	irq_enable();
	self(0x83);
	__asm__ volatile("nop");
	irq_disable();
	apic_eoi();
}

static void test_nesting(void)
{
	irq_count(0x42);
	trap_handle(0x41, outer);
	self(0x41);
	irq_window();
	irq_window();
	check(nested_high == 1, "%s: a higher class nests", mode);
	check(nested_same == 0 && irq_hits(0x42) == 1, "%s: the same class waits for the EOI",
		mode);
	trap_handle(0x83, inner_late_eoi);
	trap_handle(0x43, outer_two);
	isr_both = after_one_eoi = 0;
	self(0x43);
	irq_window();
	check(isr_both && after_one_eoi, "%s: EOI ends the highest in service", mode);
	check(!apic_bit(APIC_ISR, 0x43), "%s: the second EOI ends the other", mode);
}

static void expect_logical(u32 dest, bool hit)
{
	irq_count(0x55);
	apic_ipi(dest, APIC_LOGICAL | APIC_ASSERT | 0x55);
	irq_window();
	check(irq_hits(0x55) == hit, "%s: logical 0x%x %s", mode, dest, hit ? "reaches" : "misses");
}

static void test_logical(void)
{
	if (apic_is_x2()) {
		u32 id = apic_id(), ldr = apic_read(APIC_LDR);

		check(ldr == (id >> 4 << 16 | 1u << (id & 15)), "%s: LDR 0x%x", mode, ldr);
		expect_logical(ldr, true);
		expect_logical(ldr ^ 0x10000, false);
		expect_logical(ldr << 1, false);
		expect_logical(ldr | 0xFF, true);
		return;
	}
	apic_write(APIC_DFR, 0xFFFFFFFF);
	apic_write(APIC_LDR, 0x04000000);
	expect_logical(0x04, true);
	expect_logical(0x06, true);
	expect_logical(0x02, false);
	expect_logical(0xFF, true);
	apic_write(APIC_DFR, 0x0FFFFFFF);
	apic_write(APIC_LDR, 0x21000000);
	expect_logical(0x21, true);
	expect_logical(0x23, true);
	expect_logical(0x22, false);
	expect_logical(0x11, false);
	apic_write(APIC_DFR, 0xFFFFFFFF);
	apic_write(APIC_LDR, 0);
}

static volatile u32 nmi_depth, nmi_deepest, nmis;

static void nmi(struct trap *t)
{
	(void)t;
	if (++nmi_depth > nmi_deepest)
		nmi_deepest = nmi_depth;
	if (++nmis == 1)
		apic_ipi(apic_id(), APIC_NMI | APIC_ASSERT);
	nmi_depth--;
}

static void test_nmi(void)
{
	nmis = nmi_deepest = 0;
	trap_handle(VEC_NMI, nmi);
	apic_ipi(apic_id(), APIC_NMI | APIC_ASSERT);
	check(wait_until(nmis == 2, 100), "%s: an NMI in an NMI comes after it (%u)", mode, nmis);
	check(nmi_deepest == 1, "%s: NMIs do not nest", mode);
}

static void test_errors(void)
{
	u64 v;

	if (arg_given("qemu")) // it checks none of this
		return;
	apic_write(APIC_ESR, 0);
	self(5);
	apic_write(APIC_ESR, 0);
	check(apic_read(APIC_ESR) & 0x60, "%s: a vector below 16 is an error (ESR 0x%x)", mode,
		apic_read(APIC_ESR));
	apic_write(APIC_ESR, 0);
	if (!apic_is_x2()) {
		check(try_wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(52)) == VEC_GP,
			"reserved bits of the APIC base fault");
		check(try_rdmsr(MSR_X2APIC + 2, &v) == VEC_GP, "x2APIC's MSRs fault in xAPIC mode");
		return;
	}
	check(try_wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) & ~APIC_BASE_X2) == VEC_GP,
		"x2APIC to xAPIC faults");
	check(try_wrmsr(0x802, 1) == VEC_GP, "x2APIC: its ID cannot be written");
	check(try_rdmsr(0x80E, &v) == VEC_GP, "x2APIC: there is no DFR");
	check(try_rdmsr(0x831, &v) == VEC_GP, "x2APIC: there is no second half of ICR");
	check(try_rdmsr(0x83F, &v) == VEC_GP, "x2APIC: self-IPI cannot be read");
	check(try_wrmsr(0x80B, 1) == VEC_GP, "x2APIC: EOI takes only 0");
	check(try_wrmsr(0x828, 1) == VEC_GP, "x2APIC: ESR takes only 0");
	check(try_wrmsr(0x808, 0x100) == VEC_GP, "x2APIC: TPR has 8 bits");
}

static void test_mode(const char *name)
{
	mode = name;
	test_registers();
	test_self();
	test_priority();
	test_nesting();
	test_logical();
	test_nmi();
	test_errors();
}

void guest_main(void)
{
	u64 base = rdmsr(MSR_APIC_BASE);

	check((base & ~0xFFFull) == APIC_DEFAULT && (base & APIC_BASE_BSP) && (base & APIC_BASE_ON),
		"APIC base is 0x%lx", base);
	apic_each_mode(test_mode);
	if (arg_given("qemu")) // it does not show the APIC again
		return;
	wrmsr(MSR_APIC_BASE, base & ~APIC_BASE_ON);
	check(!(cpuid(1, 0).d & BIT(9)), "without the APIC CPUID does not show one");
	if (apic_has_x2())
		check(try_wrmsr(MSR_APIC_BASE, (base & ~APIC_BASE_ON) | APIC_BASE_X2) == VEC_GP,
			"x2APIC without \"enabled\" faults");
	wrmsr(MSR_APIC_BASE, base);
	check(cpuid(1, 0).d & BIT(9), "and then it does");
}
