// SPDX-License-Identifier: MIT
// The CMOS clock: a plausible time that goes on, its flags, its three interrupts, its memory.
#include "guest.h"
#include "acpi.h"
#include "apic.h"
#include "irq.h"
#include "pic.h"

#define VEC 0x68

static volatile u32 flags_seen, ticks;

// The APIC keeps one that comes between the end of a run and its last reading of C, which takes the flag away.
static void on_irq(struct trap *t)
{
	u8 flags = cmos_read(0x0C);

	(void)t;
	if (flags & 0x80) {
		flags_seen |= flags;
		ticks++;
	}
	apic_eoi();
}

static u32 value(u8 reg)
{
	u8 v = cmos_read(reg);

	return cmos_read(0x0B) & 4 ? v : (v >> 4) * 10u + (v & 15);
}

static u32 seconds_of_day(void)
{
	u32 s;

	do {
		(void)wait_until(!(cmos_read(0x0A) & 0x80), 100);
		s = value(0);
	} while (s != value(0));
	return (value(4) & 0x7F) * 3600 + value(2) * 60 + s;
}

static void test_time(void)
{
	u32 start, now, year;

	(void)wait_until(!(cmos_read(0x0A) & 0x80), 100);
	year = value(9);
	check(cmos_read(0x0D) & 0x80, "register D: the battery is good");
	check(cmos_read(0x0B) & 2, "24 hours");
	check(year >= 24 && value(8) >= 1 && value(8) <= 12 && value(7) >= 1 && value(7) <= 31,
		"the date is 20%02u-%02u-%02u", year, value(8), value(7));
	start = seconds_of_day();
	check(start < 86400, "the second of the day is %u", start);
	check(wait_until(seconds_of_day() != start, 1500), "a second goes by");
	start = seconds_of_day();
	delay_us(1100000);
	now = seconds_of_day();
	check((now + 86400 - start) % 86400 >= 1 && (now + 86400 - start) % 86400 <= 2,
		"1.1 s move it from %u to %u", start, now);
}

// Milliseconds that it took.
static u64 run(u8 enable, u32 ms, u32 until)
{
	u8 b = cmos_read(0x0B);
	u64 start;

	flags_seen = ticks = 0;
	cmos_write(0x0B, (b & 0x8F) | enable);
	cmos_read(0x0C);
	start = rdtsc();
	irq_enable();
	(void)wait_until(ticks >= until, ms);
	irq_disable();
	delay_us(20000); // the next tick, which is kept
	cmos_write(0x0B, b & 0x8F);
	cmos_read(0x0C);
	return (rdtsc() - start) / tsc_per_ms();
}

static void test_interrupts(void)
{
	u64 took;

	trap_handle(VEC, on_irq);
	ioapic_route(acpi_gsi(8), VEC, apic_id());
	cmos_write(0x0A, 0x20 | 10); // 64 Hz
	took = run(0x40, 500, ~0u);
	check(ticks >= 8 && ticks <= took * 64 / 1000 + 2 && (flags_seen & 0xC0) == 0xC0,
		"periodic: %u ticks of 64 Hz in %lu ms", ticks, took);
	run(0x10, 2500, 1);
	check(ticks == 1 && (flags_seen & 0x90) == 0x90, "update ended: flags 0x%x", flags_seen);
	for (u8 reg = 1; reg <= 5; reg += 2)
		cmos_write(reg, 0xC0); // an alarm every second
	run(0x20, 2500, 1);
	check(ticks == 1 && (flags_seen & 0xA0) == 0xA0, "alarm: flags 0x%x", flags_seen);
	run(0, 300, ~0u);
	check(ticks == 0, "none is enabled, none comes");
	check(!(cmos_read(0x0C) & 0x80), "reading register C clears it");
	cmos_write(0x0A, 0x26);
	ioapic_route(acpi_gsi(8), REDIR_MASKED, 0);
}

void guest_main(void)
{
	tsc_per_ms();
	pic_init();
	apic_enable();
	test_time();
	test_interrupts();
	cmos_write(0x70, 0x5A);
	cmos_write(0x71, 0xA5);
	check(cmos_read(0x70) == 0x5A && cmos_read(0x71) == 0xA5, "memory at 0x70 and 0x71");
}
