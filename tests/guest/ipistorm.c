// SPDX-License-Identifier: MIT
// All CPUs send interrupts of all kinds to each other; then one round is counted exactly.
#include "guest.h"
#include "apic.h"
#include "irq.h"
#include "smp.h"

#define FIRST 0x40
#define LAST  0xDF

static void storm(void *arg)
{
	static const u32 shorthands[] = {0, APIC_TO_SELF, APIC_TO_ALL, APIC_TO_OTHERS};

	irq_enable();
	for (u64 i = (u64)arg; i; i--) {
		u32 vector = FIRST + (u32)random_below(LAST - FIRST + 1);
		u32 icr = APIC_ASSERT | vector |
			  shorthands[random_below(8) == 0 ? random_below(4) : 0];

		if (random_below(8) == 0)
			apic_ipi((u32)random_below(256),
				icr | (random64() & 1 ? APIC_LOGICAL : 0) | APIC_LOWEST);
		else
			apic_ipi(cpu_at((u32)random_below(smp_count()))->apic_id, icr);
		if (random_below(32) == 0)
			irq_wait();
		irq_enable();
		if (random_below(64) == 0)
			apic_write(APIC_TPR, (u32)random_below(0x40));
	}
	apic_write(APIC_TPR, 0);
	irq_window();
}

static volatile u32 waiting;

static void wait_for_ball(void *arg)
{
	(void)arg;
	irq_count(LAST + 1);
	__atomic_fetch_add(&waiting, 1, __ATOMIC_RELAXED);
	while (!irq_hits_on(this_cpu()->index, LAST + 1))
		irq_wait();
}

// A CPU that sleeps in the storm might have no more coming: the boot CPU's timer and wake-ups end that.
static void on_timer(struct trap *t)
{
	(void)t;
	apic_eoi();
	apic_ipi(0, APIC_ASSERT | APIC_TO_OTHERS | VEC_WAKE);
}

void guest_main(void)
{
	u64 n = arg_number("n", 2000);
	u32 cpus = smp_start(), hits = 0;

	for (u32 v = FIRST; v <= LAST; v++)
		irq_count(v);
	trap_handle(0xF0, on_timer);
	apic_write(APIC_TIMER_DIV, 0xB);
	apic_write(APIC_LVT_TIMER, APIC_PERIODIC | 0xF0);
	apic_write(APIC_TIMER_INIT, 5000000);
	smp_run_others(storm, (void *)n);
	storm((void *)n);
	irq_enable();
	smp_wait();
	apic_write(APIC_LVT_TIMER, APIC_MASKED);
	irq_window();
	irq_disable();
	for (u32 v = FIRST; v <= LAST; v++)
		hits += irq_hits(v);
	check(hits, "%u interrupts came", hits);

	smp_run_others(wait_for_ball, NULL);
	check(wait_until(waiting == cpus - 1, 5000), "all others wait");
	delay_us(10000);
	for (u32 i = 1; i < cpus; i++)
		apic_ipi(cpu_at(i)->apic_id, APIC_ASSERT | (LAST + 1));
	smp_wait();
	check(irq_hits(LAST + 1) == cpus - 1, "after it each takes exactly one (%u)",
		irq_hits(LAST + 1));
}
