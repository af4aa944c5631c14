// SPDX-License-Identifier: MIT
// A triple fault, on purpose, on the boot CPU or (cpu=1) on another, by an empty IDT or (how=1) a lost stack,
// while the other CPUs wait or (busy=1) run and take interrupts.
#include "guest.h"
#include "smp.h"

static void no_idt(void)
{
	struct table_ptr none = {0, 0};

	lidt(&none);
	__asm__ volatile("int3");
}

static void no_stack(void)
{
	this_cpu()->tss.ist[0] = BIT(60); // not canonical
	__asm__ volatile("mov %0, %%rsp; push %%rax" : : "r"(BIT(61)) : "memory");
}

static void fault(void *how)
{
	if (how)
		no_stack();
	else
		no_idt();
}

static volatile u64 rounds;

static void work(void *arg)
{
	(void)arg;
	for (;;)
		rounds++;
}

void guest_main(void)
{
	u64 cpu = arg_number("cpu", 0);
	void *how = (void *)arg_number("how", 0);

	u32 cpus = smp_start();
	bool busy = arg_number("busy", 0);

	for (u32 i = 1; busy && i < cpus; i++)
		if (i != cpu)
			smp_run(i, work, NULL);
	while (busy && !rounds)
		;
	if (cpu)
		smp_run((u32)cpu, fault, how);
	else
		fault(how);
	delay_us(3000000);
	check(false, "three seconds on it still runs");
}
