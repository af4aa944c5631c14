// SPDX-License-Identifier: MIT
// The local APIC's timer in both modes: current count, one-shot, periodic, dividers, TSC-deadline.
#include "guest.h"
#include "apic.h"
#include "irq.h"

#define VEC 0x61

static const char *mode;
static u64 per_ms; // timer ticks, with divider 1

static void divider(u32 by)
{
	u32 log = (u32)__builtin_ctz(by); // 1 is code 7, 2 is 0, 4 is 1, ...
	u32 code = (log + 7) & 7;

	apic_write(APIC_TIMER_DIV, (code & 3) | (code & 4) << 1);
}

static u32 ticks_in(u32 ms)
{
	u32 t0, t1;

	apic_write(APIC_LVT_TIMER, APIC_MASKED | VEC);
	apic_write(APIC_TIMER_INIT, 0xFFFFFFFF);
	t0 = apic_read(APIC_TIMER_NOW);
	delay_us(ms * 1000);
	t1 = apic_read(APIC_TIMER_NOW);
	apic_write(APIC_TIMER_INIT, 0);
	return t0 - t1;
}

static void test_count(void)
{
	u32 last, now, rises = 0;
	u64 by1, by16;

	divider(1);
	by1 = ticks_in(20) / 20;
	per_ms = by1;
	divider(16);
	by16 = ticks_in(20) / 20;
	for (u32 i = 0; i < 10 && (by16 * 16 <= by1 / 2 || by16 * 16 >= by1 * 2); i++) {
		divider(1); // a busy host came in between one or the other
		per_ms = by1 = ticks_in(20) / 20;
		divider(16);
		by16 = ticks_in(20) / 20;
	}
	check(by1 > 1000, "%s: %lu ticks a millisecond", mode, by1);
	check(by16 * 16 > by1 / 2 && by16 * 16 < by1 * 2, "%s: divider 16 makes it %lu", mode,
		by16);
	apic_write(APIC_TIMER_INIT, 0xFFFFFFF0);
	last = apic_read(APIC_TIMER_NOW);
	for (u32 i = 0; i < 1000; i++) {
		now = apic_read(APIC_TIMER_NOW);
		rises += now > last;
		last = now;
	}
	check(!rises, "%s: the current count only falls", mode);
	apic_write(APIC_TIMER_INIT, 0);
	check(apic_read(APIC_TIMER_NOW) == 0, "%s: count 0 stops it", mode);
	divider(1);
}

static void test_oneshot(void)
{
	u64 start = rdtsc(), took;

	irq_count(VEC);
	apic_write(APIC_LVT_TIMER, VEC);
	apic_write(APIC_TIMER_INIT, (u32)(10 * per_ms));
	while (!irq_hits(VEC) && rdtsc() - start < 5000 * tsc_per_ms())
		irq_wait();
	took = (rdtsc() - start) * 10 / tsc_per_ms();
	check(irq_hits(VEC) == 1 && took >= 90 && took < 20000,
		"%s: one shot of 10 ms takes %lu.%lu ms", mode, took / 10, took % 10);
	irq_enable();
	delay_us(30000);
	irq_disable();
	check(irq_hits(VEC) == 1 && apic_read(APIC_TIMER_NOW) == 0, "%s: it fires once", mode);

	irq_count(VEC);
	apic_write(APIC_LVT_TIMER, APIC_MASKED | VEC);
	apic_write(APIC_TIMER_INIT, (u32)per_ms);
	irq_enable();
	delay_us(20000);
	irq_disable();
	check(!irq_hits(VEC), "%s: masked it does not fire", mode);
}

static void test_periodic(void)
{
	u32 hits;
	u64 start, took;

	irq_count(VEC);
	apic_write(APIC_LVT_TIMER, APIC_PERIODIC | VEC);
	start = rdtsc();
	apic_write(APIC_TIMER_INIT, (u32)(5 * per_ms));
	while (irq_hits(VEC) < 20 && rdtsc() - start < 5000 * tsc_per_ms())
		irq_wait();
	took = (rdtsc() - start) / tsc_per_ms();
	check(irq_hits(VEC) == 20 && took >= 92 && took < 4000,
		"%s: 20 periods of 5 ms take %lu ms", mode, took);
	apic_write(APIC_LVT_TIMER, APIC_MASKED | APIC_PERIODIC | VEC);
	irq_window();
	hits = irq_hits(VEC);
	irq_enable();
	delay_us(20000);
	irq_disable();
	check(irq_hits(VEC) == hits, "%s: masking ends it", mode);
	apic_write(APIC_TIMER_INIT, 0);
}

static void test_deadline(void)
{
	u64 at = 0, now;

	irq_count(VEC);
	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | VEC);
	__asm__ volatile("mfence" : : : "memory");
	at = deadline_ms(10);
	wrmsr(MSR_TSC_DEADLINE, at);
	check(rdmsr(MSR_TSC_DEADLINE) == at, "%s: the deadline reads back", mode);
	check(apic_read(APIC_TIMER_NOW) == 0, "%s: no current count in this mode", mode);
	while (!irq_hits(VEC) && rdtsc() < at + 5000 * tsc_per_ms())
		irq_wait();
	now = rdtsc();
	check(irq_hits(VEC) == 1 && now >= at, "%s: the deadline comes, %lu us late", mode,
		(now - at) * 1000 / tsc_per_ms());
	check(rdmsr(MSR_TSC_DEADLINE) == 0, "%s: and is then 0", mode);
	wrmsr(MSR_TSC_DEADLINE, 1);
	irq_enable();
	check(wait_until(irq_hits(VEC) == 2, 1000), "%s: one in the past comes at once", mode);
	irq_disable();
	wrmsr(MSR_TSC_DEADLINE, deadline_ms(100));
	wrmsr(MSR_TSC_DEADLINE, 0);
	irq_enable();
	delay_us(150000);
	irq_disable();
	check(irq_hits(VEC) == 2, "%s: 0 disarms it", mode);
	apic_write(APIC_LVT_TIMER, APIC_MASKED);
}

static void test_mode(const char *name)
{
	mode = name;
	test_count();
	test_oneshot();
	test_periodic();
	if (cpuid(1, 0).c & BIT(24))
		test_deadline();
	else
		print("CPUID offers no TSC deadline\n");
}

void guest_main(void)
{
	tsc_per_ms(); // its measuring would disturb the first test
	apic_each_mode(test_mode);
}
