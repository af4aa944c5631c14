// SPDX-License-Identifier: MIT
// Interrupts between CPUs, in both modes: by id, logical names, lowest priority, shorthands, NMI.
#include "guest.h"
#include "apic.h"
#include "smp.h"
#include "irq.h"

#define VEC 0x71

static const char *mode;
static u32 cpus;
static volatile bool stay;

// The others take interrupts here.
static void listen(void *arg)
{
	(void)arg;
	irq_enable();
	while (stay)
		cpu_relax();
	irq_disable();
}

static bool all_hit_once(u32 vector, bool with_self)
{
	for (u32 i = 0; i < cpus; i++)
		if (irq_hits_on(i, vector) != (i != 0 || with_self))
			return false;
	return true;
}

static void send(u32 vector, u32 dest, u32 icr)
{
	irq_count(vector);
	apic_ipi(dest, icr | APIC_ASSERT | (vector == VEC_NMI ? 0 : vector));
	irq_window();
}

static void settle(u32 vector, u32 hits)
{
	irq_enable();
	(void)wait_until(irq_hits(vector) >= hits, 3000);
	delay_us(2000);
	irq_disable();
}

static void test_ids(void)
{
	for (u32 i = 0; i < cpus; i++) {
		send(VEC, cpu_at(i)->apic_id, APIC_FIXED);
		settle(VEC, 1);
		check(irq_hits_on(i, VEC) == 1 && irq_hits(VEC) == 1, "%s: to CPU %u", mode, i);
	}
	send(VEC, 200, APIC_FIXED);
	settle(VEC, 0);
	check(irq_hits(VEC) == 0, "%s: to an id that nobody has", mode);
}

static void test_shorthands(void)
{
	send(VEC, 0, APIC_TO_ALL);
	settle(VEC, cpus);
	check(all_hit_once(VEC, true), "%s: to all (%u)", mode, irq_hits(VEC));
	send(VEC, 0, APIC_TO_OTHERS);
	settle(VEC, cpus - 1);
	check(all_hit_once(VEC, false), "%s: to all others (%u)", mode, irq_hits(VEC));
	send(VEC, apic_is_x2() ? 0xFFFFFFFF : 0xFF, APIC_FIXED);
	settle(VEC, cpus);
	check(all_hit_once(VEC, true), "%s: to the broadcast id (%u)", mode, irq_hits(VEC));
}

static void set_logical(void *arg)
{
	(void)arg;
	if (apic_is_x2())
		return;
	apic_write(APIC_DFR, 0xFFFFFFFF);
	apic_write(APIC_LDR, 1u << (24 + this_cpu()->index % 8));
}

static u32 logical_name(u32 cpu)
{
	u32 id = cpu_at(cpu)->apic_id;

	return apic_is_x2() ? id >> 4 << 16 | 1u << (id & 15) : 1u << (cpu % 8);
}

static void test_logical(void)
{
	u32 names = 0;

	for (u32 i = 0; i < MIN(cpus, 8); i++) {
		send(VEC, logical_name(i), APIC_LOGICAL);
		settle(VEC, 1);
		check(irq_hits_on(i, VEC) == 1 && irq_hits(VEC) == 1,
			"%s: to the logical name of CPU %u", mode, i);
		names |= logical_name(i);
	}
	send(VEC, names, APIC_LOGICAL);
	settle(VEC, MIN(cpus, 8));
	check(irq_hits(VEC) == MIN(cpus, 8), "%s: to 0x%x, %u CPUs", mode, names, irq_hits(VEC));
	if (apic_is_x2()) // has no lowest priority
		return;
	for (u32 i = 0; i < 10; i++) {
		send(VEC, names, APIC_LOGICAL | APIC_LOWEST);
		settle(VEC, 1);
		check_quiet(
			irq_hits(VEC) == 1, "%s: lowest priority came to %u", mode, irq_hits(VEC));
	}
}

static void test_nmi(void)
{
	for (u32 i = 0; i < cpus; i++) {
		send(VEC_NMI, cpu_at(i)->apic_id, APIC_NMI);
		settle(VEC_NMI, 1);
		check(irq_hits_on(i, VEC_NMI) == 1 && irq_hits(VEC_NMI) == 1, "%s: NMI to CPU %u",
			mode, i);
	}
	send(VEC_NMI, 0, APIC_NMI | APIC_TO_OTHERS);
	settle(VEC_NMI, cpus - 1);
	check(all_hit_once(VEC_NMI, false), "%s: NMI to all others (%u)", mode, irq_hits(VEC_NMI));
}

static void nothing(struct trap *t)
{
	(void)t;
}

// An NMI ends the HLT of a CPU that has interrupts off.
static void sleep(void *arg)
{
	volatile u32 *awake = arg;

	__asm__ volatile("hlt");
	*awake = 1;
}

static void test_nmi_wakes(void)
{
	volatile u32 awake = 0;

	if (cpus < 2)
		return;
	trap_handle(VEC_NMI, nothing);
	smp_run(1, sleep, (void *)&awake);
	delay_us(50000);
	check(!awake, "%s: CPU 1 sleeps", mode);
	apic_ipi(cpu_at(1)->apic_id, APIC_NMI | APIC_ASSERT);
	check(wait_until(awake, 3000), "%s: an NMI wakes it", mode);
	smp_wait();
}

static void test_mode(const char *name)
{
	mode = name;
	smp_run_others(set_logical, NULL);
	smp_wait();
	set_logical(NULL);
	stay = true;
	smp_run_others(listen, NULL);
	delay_us(10000);
	test_ids();
	test_shorthands();
	test_logical();
	test_nmi();
	stay = false;
	smp_wait();
	test_nmi_wakes();
}

void guest_main(void)
{
	cpus = smp_start();
	check(cpus == smp_count(), "%u of %u CPUs run", cpus, smp_count());
	apic_each_mode(test_mode);
}
