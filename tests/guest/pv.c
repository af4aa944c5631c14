// SPDX-License-Identifier: MIT
// The paravirtual leaves: KVM's signature, clock, steal time, PV EOI, hypercalls; and Mezzanine's own leaf.
#include "guest.h"
#include "apic.h"
#include "irq.h"
#include "pic.h"
#include "pv.h"
#include "smp.h"

#define VEC 0x66

static u32 features;
static u8 *area; // a page for what the host writes to

static void test_leaves(void)
{
	struct regs4 r = cpuid(PV_LEAF, 0);
	char name[13] = "", own[13] = "";

	check(cpuid(1, 0).c & BIT(31), "CPUID says that there is a hypervisor");
	memcpy(name, &r.b, 4);
	memcpy(name + 4, &r.c, 4);
	memcpy(name + 8, &r.d, 4);
	check(!memcmp(name, "KVMKVMKVM\0\0\0", 12) && r.a >= PV_LEAF + 1,
		"signature %s, last leaf 0x%x", name, r.a);
	features = cpuid(PV_LEAF + 1, 0).a;
	check((features & (PV_CLOCK | PV_STEAL | PV_EOI | PV_IPI | PV_TLB_FLUSH)) ==
			(PV_CLOCK | PV_STEAL | PV_EOI | PV_IPI | PV_TLB_FLUSH),
		"features 0x%x", features);
	r = cpuid(PV_LEAF_OWN, 0);
	memcpy(own, &r.b, 4);
	memcpy(own + 4, &r.c, 4);
	memcpy(own + 8, &r.d, 4);
	check(!memcmp(own, "Mezz", 4) && r.a >= PV_LEAF_OWN, "own leaf: %s, last leaf 0x%x", own,
		r.a);
}

static u64 clock_ns(const volatile struct pv_clock *c)
{
	u32 version;
	u64 ns;

	do {
		u64 delta;

		version = c->version & ~1u;
		__asm__ volatile("" : : : "memory");
		delta = rdtsc() - c->tsc;
		delta = c->shift < 0 ? delta >> -c->shift : delta << c->shift;
		ns = c->system_ns + (u64)((unsigned __int128)delta * c->mul >> 32);
		__asm__ volatile("" : : : "memory");
	} while (version != c->version);
	return ns;
}

static void test_clock(void)
{
	volatile struct pv_clock *c = (void *)area;
	volatile struct pv_wall *w = (void *)(area + 64);
	u64 start, ns = 0, back = 0, rtc;

	wrmsr(MSR_PV_CLOCK, (u64)c | 1);
	check(rdmsr(MSR_PV_CLOCK) == ((u64)c | 1), "the clock's MSR reads back");
	check(c->version && !(c->version & 1) && c->mul, "version %u, multiplier %u, shift %d",
		c->version, c->mul, c->shift);
	for (u32 i = 0; i < 10 && (ns < 950 || ns > 1050); i++) { // a busy host may come in between
		u64 tsc = rdtsc();

		start = clock_ns(c);
		delay_us(100000);
		ns = (clock_ns(c) - start) * 1000 / ((rdtsc() - tsc) * 1000000 / tsc_per_ms());
	}
	check(ns >= 950 && ns <= 1050, "1000 us by the PIT are %lu by it", ns);
	start = clock_ns(c);
	for (u32 i = 0; i < 10000; i++) {
		ns = clock_ns(c);
		back += ns < start;
		start = ns;
	}
	check(!back, "it never goes back");
	wrmsr(MSR_PV_WALL, (u64)w);
	rtc = cmos_read(2);
	rtc = (rtc >> 4) * 10 + (rtc & 15);
	ns = w->seconds + (w->nanoseconds + clock_ns(c)) / 1000000000;
	check(!(w->version & 1) && ns > 1700000000, "the wall clock is %lu", ns);
	check((ns / 60 % 60 + 61 - rtc) % 60 <= 2, "its minute is %lu, the CMOS clock's %lu",
		ns / 60 % 60, rtc);
	wrmsr(MSR_PV_CLOCK, 0);
}

static void test_steal(void)
{
	volatile struct pv_steal *s = (void *)(area + 128);
	u64 before;

	wrmsr(MSR_PV_STEAL, (u64)s | 1);
	check(rdmsr(MSR_PV_STEAL) == ((u64)s | 1), "steal time: its MSR reads back");
	delay_us(20000);
	before = s->steal_ns;
	delay_us(100000);
	check(s->steal_ns >= before && s->steal_ns - before < 60000000000ull && !(s->version & 1),
		"steal time: from %lu to %lu us", before / 1000, s->steal_ns / 1000);
	check(!(s->preempted & 1), "steal time: not preempted while it runs");
	wrmsr(MSR_PV_STEAL, 0);
	check(try_wrmsr(MSR_PV_STEAL, (u64)s | 0x11) == VEC_GP, "steal time: reserved bits fault");
}

static volatile u32 *eoi_word;
static volatile u32 pv_eois, apic_eois;

static void on_irq(struct trap *t)
{
	u32 bit;

	(void)t;
	__asm__ volatile("btrl $0, %1; sbb %0, %0" : "=r"(bit), "+m"(*eoi_word) : : "cc");
	if (bit) {
		pv_eois++;
	} else {
		apic_eois++;
		apic_eoi();
	}
}

static void test_eoi(void)
{
	u32 rounds = 200;

	eoi_word = (void *)(area + 256);
	trap_handle(VEC, on_irq);
	wrmsr(MSR_PV_EOI, (u64)eoi_word | 1);
	for (u32 i = 0; i < rounds; i++) {
		apic_ipi(0, APIC_TO_SELF | APIC_ASSERT | VEC);
		irq_window();
		(void)wait_until(pv_eois + apic_eois == i + 1, 100);
	}
	check(pv_eois + apic_eois == rounds && pv_eois,
		"%u interrupts: %u EOIs by memory, %u by the APIC", rounds, pv_eois, apic_eois);
	check(!apic_bit(APIC_ISR, VEC), "the last one is over");
	wrmsr(MSR_PV_EOI, 0);
	check(try_wrmsr(MSR_PV_EOI, (u64)eoi_word | 3) == VEC_GP, "PV EOI: reserved bits fault");
}

static volatile bool stay;
static volatile u32 awake;

static void listen(void *arg)
{
	(void)arg;
	irq_enable();
	while (stay)
		cpu_relax();
	irq_disable();
}

static void sleep(void *arg)
{
	(void)arg;
	__asm__ volatile("hlt"); // interrupts are off
	awake = 1;
}

static void test_hypercalls(u32 cpus)
{
	u64 all = BIT(cpus) - 1;
	s64 sent;

	check(pv_hypercall(0x7777, 0, 0, 0, 0) == -1000, "an unknown hypercall gives -1000");
	irq_count(VEC);
	stay = true;
	smp_run_others(listen, NULL);
	delay_us(5000);
	sent = pv_hypercall(PV_HC_SEND_IPI, all, 0, 0, VEC);
	irq_enable();
	(void)wait_until(irq_hits(VEC) == cpus, 3000);
	irq_disable();
	check(sent == (s64)cpus && irq_hits(VEC) == cpus, "SEND_IPI to %u CPUs gives %ld, %u came",
		cpus, sent, irq_hits(VEC));
	irq_forget(VEC);
	sent = pv_hypercall(PV_HC_SEND_IPI, 0, BIT(63), 64, VEC);
	check(sent == 0 && !irq_hits(VEC), "SEND_IPI to nobody gives %ld", sent);
	stay = false;
	smp_wait();
	if (cpus < 2 || !(features & PV_UNHALT))
		return;
	smp_run(1, sleep, NULL);
	delay_us(50000);
	check(!awake, "CPU 1 sleeps");
	sent = pv_hypercall(PV_HC_KICK, 0, cpu_at(1)->apic_id, 0, 0);
	check(sent == 0 && wait_until(awake, 3000), "KICK_CPU wakes it");
	smp_wait();
}

void guest_main(void)
{
	u32 cpus = smp_start();

	tsc_per_ms();
	area = memory_pages(1);
	test_leaves();
	if (check_failures())
		return;
	test_clock();
	test_steal();
	test_eoi();
	test_hypercalls(cpus);
}
