// SPDX-License-Identifier: MIT
// All CPUs spin with interrupts off for secs=N seconds of their TSC; what runs beside must not notice.
#include "guest.h"
#include "smp.h"

static volatile u64 rounds[MAX_CPUS];

static void spin(void *arg)
{
	u64 end = (u64)arg;

	irq_disable();
	while (rdtsc() < end)
		rounds[this_cpu()->index]++;
}

void guest_main(void)
{
	u32 cpus = smp_start();
	u64 end = deadline_ms(arg_number("secs", 3) * 1000);

	smp_run_others(spin, (void *)end);
	spin((void *)end);
	smp_wait();
	for (u32 i = 0; i < cpus; i++)
		check(rounds[i], "CPU %u went round %lu times", i, rounds[i]);
}
