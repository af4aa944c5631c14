// SPDX-License-Identifier: MIT
// Counting of interrupts.
#include "guest.h"
#include "smp.h"
#include "apic.h"
#include "irq.h"

#define ORDER 32

static volatile u32 hits[MAX_CPUS][256];
static volatile u8 order[MAX_CPUS][ORDER];
static volatile u32 arrived[MAX_CPUS];

static void taken(struct trap *t)
{
	u32 cpu = this_cpu()->index, at = arrived[cpu];

	hits[cpu][t->vector]++;
	if (at < ORDER)
		order[cpu][at] = (u8)t->vector;
	arrived[cpu] = at + 1;
	if (t->vector != VEC_NMI && t->vector != SPURIOUS_VECTOR)
		apic_eoi();
}

void irq_forget(u32 vector)
{
	for (u32 i = 0; i < MAX_CPUS; i++)
		hits[i][vector] = 0;
}

void irq_count(u32 vector)
{
	irq_forget(vector);
	trap_handle(vector, taken);
}

u32 irq_hits(u32 vector)
{
	u32 sum = 0;

	for (u32 i = 0; i < MAX_CPUS; i++)
		sum += hits[i][vector];
	return sum;
}

u32 irq_hits_on(u32 cpu, u32 vector)
{
	return hits[cpu][vector];
}

u32 irq_order(u8 *vectors, u32 n)
{
	u32 cpu = this_cpu()->index;

	n = MIN(n, MIN(arrived[cpu], ORDER));
	for (u32 i = 0; i < n; i++)
		vectors[i] = order[cpu][i];
	arrived[cpu] = 0;
	return n;
}
