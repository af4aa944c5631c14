// SPDX-License-Identifier: MIT
// All CPUs send NMIs to all CPUs, themselves included, as fast as they can.
#include "guest.h"
#include "apic.h"
#include "smp.h"

static volatile u32 depth[MAX_CPUS], deepest, nmis[MAX_CPUS];

static void on_nmi(struct trap *t)
{
	u32 cpu = this_cpu()->index;

	(void)t;
	if (++depth[cpu] > deepest)
		deepest = depth[cpu];
	nmis[cpu]++;
	depth[cpu]--;
}

static void storm(void *arg)
{
	for (u64 i = (u64)arg; i; i--) {
		apic_ipi(cpu_at((u32)random_below(smp_count()))->apic_id, APIC_NMI | APIC_ASSERT);
		if (random_below(8) == 0)
			apic_ipi(0, APIC_NMI | APIC_ASSERT | APIC_TO_OTHERS);
		if (random_below(16) == 0)
			cpuid(0, 0);
	}
}

void guest_main(void)
{
	u64 n = arg_number("n", 3000);
	u32 cpus = smp_start();

	trap_handle(VEC_NMI, on_nmi);
	smp_run_others(storm, (void *)n);
	storm((void *)n);
	smp_wait();
	for (u32 i = 0; i < cpus; i++)
		check(nmis[i], "CPU %u took %u NMIs", i, nmis[i]);
	check(deepest == 1, "no NMI nested");
}
