// SPDX-License-Identifier: MIT
// CR8 is written while interrupts are pending, masked, and coming in from a timer; none may be lost or come twice.
#include "guest.h"
#include "apic.h"
#include "irq.h"
#include "smp.h"

#define TIMER 0xE1 // above what CR8 is set to here

static u64 sent[256];

static void send(u32 vector)
{
	sent[vector]++;
	apic_ipi(0, APIC_TO_SELF | APIC_ASSERT | vector);
}

// One vector, at most one pending at a time: all that were sent must come.
static void round_once(void)
{
	u32 vector = 0x20 + (u32)random_below(0xC0), hits = irq_hits(vector);
	u32 class = vector >> 4;

	write_cr8(15);
	irq_enable();
	send(vector);
	write_cr8(class + random_below(14 - class + 1));
	check_quiet(irq_hits(vector) == hits, "vector 0x%x came under CR8 %lu", vector, read_cr8());
	if (random64() & 1) {
		irq_disable();
		write_cr8(class - 1);
		write_cr8(class);
		write_cr8(random_below(class));
		check_quiet(
			irq_hits(vector) == hits, "vector 0x%x came with interrupts off", vector);
		irq_enable();
	} else {
		write_cr8(random_below(class));
	}
	__asm__ volatile("nop");
	check_quiet(irq_hits(vector) == hits + 1, "vector 0x%x came %u times", vector,
		irq_hits(vector) - hits);
	irq_disable();
}

// Many pending at once, then CR8 goes down step by step: each class comes at its step.
static void staircase(void)
{
	u8 seen[32];
	u32 n;

	write_cr8(15);
	irq_order(seen, 32);
	for (u32 class = 2; class < 14; class ++)
		send(class << 4 | (u32)random_below(16));
	irq_enable();
	for (u64 cr8 = 13; cr8 < 14; cr8--)
		write_cr8(cr8);
	__asm__ volatile("nop");
	irq_disable();
	write_cr8(0);
	n = irq_order(seen, 32);
	for (u32 i = 1; i < n; i++)
		if (seen[i] != TIMER && seen[i - 1] != TIMER)
			check_quiet(seen[i] < seen[i - 1], "0x%x came after 0x%x", seen[i],
				seen[i - 1]);
}

static void work(void *arg)
{
	for (u64 i = (u64)arg; i; i--) {
		round_once();
		if (i % 16 == 0)
			staircase();
	}
}

void guest_main(void)
{
	u64 n = arg_number("n", 1000), lost = 0;

	apic_enable();
	for (u32 v = 0x20; v < 0xE0; v++)
		irq_count(v);
	irq_count(TIMER);
	apic_write(APIC_TIMER_DIV, 0xB);
	apic_write(APIC_LVT_TIMER, APIC_PERIODIC | TIMER);
	apic_write(APIC_TIMER_INIT, 2000000);
	work((void *)n);
	apic_write(APIC_LVT_TIMER, APIC_MASKED);
	write_cr8(0);
	irq_window();
	for (u32 v = 0x20; v < 0xE0; v++)
		lost += sent[v] != irq_hits(v);
	check(!lost, "all came that were sent (%lu vectors differ)", lost);
	check(irq_hits(TIMER), "the timer came %u times", irq_hits(TIMER));
}
