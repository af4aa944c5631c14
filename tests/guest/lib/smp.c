// SPDX-License-Identifier: MIT
// The other CPUs: found in the MADT, started by INIT and STARTUP, given work.
#include "guest.h"
#include "smp.h"
#include "apic.h"
#include "acpi.h"
#include "console.h"

extern u8 stacks[MAX_CPUS][STACK_SIZE], trampoline[], trampoline_end[];
u8 cpu_of_apic[256]; // the entry code of the other CPUs looks here
void ap_main(void);

static u32 count = 1;

struct cpu *cpu_at(u32 index)
{
	return (struct cpu *)stacks[index];
}
u32 smp_count(void)
{
	return count;
}

static void wake(struct trap *t)
{
	(void)t;
	apic_eoi();
}

void ap_main(void)
{
	struct cpu *cpu = this_cpu();

	cpu->try_sp = 0;
	trap_init_cpu();
	random_seed_cpu(arg_number("seed", 1));
	apic_enable();
	__atomic_fetch_add(&cpu->started, 1, __ATOMIC_RELEASE);
	for (;;) {
		void (*fn)(void *) = cpu->work;

		if (!fn) {
			irq_wait();
			continue;
		}
		fn(cpu->arg);
		__atomic_store_n((u64 *)&cpu->work, 0, __ATOMIC_RELEASE);
	}
}

static void add_cpu(u32 id)
{
	u32 index = id == cpu_at(0)->apic_id ? 0 : count;

	if (id > 254 || index >= MAX_CPUS)
		return;
	cpu_of_apic[id] = (u8)index;
	cpu_at(index)->index = index;
	cpu_at(index)->apic_id = id;
	if (index)
		count++;
}

// MADT entries of type 0 (local APIC) and 9 (local x2APIC) whose CPU is enabled.
static void find_cpus(void)
{
	const struct acpi_header *madt = acpi_table("APIC");
	const u8 *p = (const u8 *)madt + 44, *end;

	if (!madt)
		return;
	for (end = (const u8 *)madt + madt->length; p + 2 <= end && p[1] >= 2; p += p[1]) {
		if (p[0] == 0 && (p[4] & 1))
			add_cpu(p[3]);
		if (p[0] == 9 && (p[8] & 1))
			add_cpu(p[4]);
	}
}

void smp_restart(u32 index)
{
	struct cpu *cpu = cpu_at(index);

	cpu->work = NULL;
	apic_ipi(cpu->apic_id, APIC_INIT | APIC_ASSERT);
	delay_us(200);
	for (int i = 0; i < 2; i++) {
		apic_ipi(cpu->apic_id, APIC_STARTUP | APIC_ASSERT | TRAMPOLINE >> 12);
		delay_us(200);
	}
}

u32 smp_start(void)
{
	u32 running = 1;

	memset(cpu_of_apic, 0xFF, sizeof(cpu_of_apic));
	cpu_at(0)->apic_id = cpuid(1, 0).b >> 24;
	find_cpus();
	memcpy((void *)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
	trap_handle(VEC_WAKE, wake);
	apic_enable();
	for (u32 i = 1; i < count; i++) {
		smp_restart(i);
		if (wait_until(*(volatile u32 *)&cpu_at(i)->started, 2000))
			running++;
		else
			print("CPU %u (APIC id %u) did not start\n", i, cpu_at(i)->apic_id);
	}
	return running;
}

void smp_run(u32 index, void (*fn)(void *), void *arg)
{
	struct cpu *cpu = cpu_at(index);

	cpu->arg = arg;
	__atomic_store_n((u64 *)&cpu->work, (u64)fn, __ATOMIC_RELEASE);
	apic_ipi(cpu->apic_id, APIC_FIXED | APIC_ASSERT | VEC_WAKE);
}

void smp_run_others(void (*fn)(void *), void *arg)
{
	for (u32 i = 1; i < count; i++)
		smp_run(i, fn, arg);
}

void smp_wait(void)
{
	for (u32 i = 1; i < count; i++)
		while (cpu_at(i)->work)
			cpu_relax();
}
