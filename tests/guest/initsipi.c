// SPDX-License-Identifier: MIT
// The other CPUs send each other INIT and STARTUP at random, with random vectors; then all start again.
#include "guest.h"
#include "apic.h"
#include "smp.h"

#define LOW  0x10 // pages where a stray STARTUP finds a HLT
#define HIGH 0x90

static void random_message(void)
{
	u32 to = cpu_at(1 + (u32)random_below(smp_count() - 1))->apic_id;
	u32 page = random64() & 1 ? TRAMPOLINE >> 12 : LOW + (u32)random_below(HIGH - LOW);

	if (random64() & 1)
		apic_ipi(to, APIC_INIT | APIC_ASSERT);
	else
		apic_ipi(to, APIC_STARTUP | APIC_ASSERT | page);
	if (random_below(8) == 0)
		apic_ipi(to, APIC_INIT | APIC_LEVEL); // the old "de-assert"
	if (random_below(32) == 0)
		apic_ipi(0, APIC_INIT | APIC_ASSERT | APIC_TO_OTHERS);
}

static void disturb(void *arg)
{
	u64 n = (u64)arg;

	// Only among the others: an INIT to all others would rightly stop the boot CPU.
	while (n--) {
		u32 to = cpu_at(1 + (u32)random_below(smp_count() - 1))->apic_id;

		if (random64() & 1)
			apic_ipi(to, APIC_INIT | APIC_ASSERT);
		else
			apic_ipi(to, APIC_STARTUP | APIC_ASSERT | TRAMPOLINE >> 12);
	}
}

static volatile u32 back;

static void come_back(void *arg)
{
	(void)arg;
	__atomic_fetch_add(&back, 1, __ATOMIC_RELAXED);
}

void guest_main(void)
{
	u64 n = arg_number("n", 500);
	u32 cpus = smp_start();

	for (u64 at = LOW << 12; at < HIGH << 12; at += 4) // hlt; jmp to it; nop
		*(volatile u32 *)at = 0x90FDEBF4;
	smp_run_others(disturb, (void *)n);
	while (n--) {
		random_message();
		if (random_below(16) == 0)
			smp_run(1 + (u32)random_below(cpus - 1), disturb, (void *)20);
	}
	apic_ipi(0, APIC_INIT | APIC_ASSERT | APIC_TO_OTHERS);
	delay_us(10000);
	for (u32 i = 1; i < cpus; i++) {
		volatile u32 *started = &cpu_at(i)->started;
		u32 before = *started;

		smp_restart(i);
		check(wait_until(*started > before, 3000), "CPU %u starts again", i);
	}
	smp_run_others(come_back, NULL);
	check(wait_until(back == cpus - 1, 5000), "all %u work again", cpus - 1);
}
