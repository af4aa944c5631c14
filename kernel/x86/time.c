// SPDX-License-Identifier: MIT
// Calibrates the TSC and the APIC timer, and arms the latter.
#include "kernel/x86/time.h"
#include "kernel/core/log.h"
#include "kernel/x86/arch.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/lapic.h"
#include "kernel/x86/port.h"

#define PM_TIMER_HZ       3579545ull // ACPI 6.4, 4.8.3.3
#define PIT_HZ            1193182ull
#define WINDOW_MS         20
#define READ_TRIES        8
#define LOOPS_MAX         100000000u // nothing that works takes as long
#define HZ_MIN            10000000ull
#define HZ_MAX            20000000000ull
#define HYPERVISOR_TIMING 0x40000010u // leaf with the TSC's kHz in eax

u64 time_hz, time_ns_mul, time_tick_mul;

static u64 apic_hz;
static u64 apic_mul; // APIC counts = ticks * apic_mul >> 32
static u16 pm_port;
static u32 pm_mask;

// A counter of known rate, the TSC and the APIC timer at one moment.
struct sample {
	u64 known, tsc;
	u32 apic;
};

// (a << 32) / b, where a / b is below 2^32.
static u64 scale(u64 a, u64 b)
{
	u64 quotient, rest;

	__asm__("divq %4" : "=a"(quotient), "=d"(rest) : "a"(a << 32), "d"(a >> 32), "r"(b) : "cc");
	return quotient;
}

// Of several tries the one that took the shortest, so the one that was disturbed the least.
static struct sample pm_sample(void)
{
	struct sample best = {0};
	u64 shortest = ~0ull;

	for (int i = 0; i < READ_TRIES; i++) {
		u64 before = time_now();
		u32 known = port_in32(pm_port) & pm_mask;
		u32 apic = lapic_timer_current();
		u64 after = time_now();

		if (after - before < shortest) {
			shortest = after - before;
			best = (struct sample){known, before + shortest / 2, apic};
		}
	}
	return best;
}

static void set_rates(const struct sample *a, const struct sample *b, u64 known, u64 known_hz)
{
	time_hz = (b->tsc - a->tsc) * known_hz / known;
	apic_hz = (u64)(a->apic - b->apic) * known_hz / known;
}

static bool calibrate_pm_timer(void)
{
	u64 window = PM_TIMER_HZ * WINDOW_MS / 1000, passed = 0;
	struct sample a = pm_sample(), b = a;

	for (u32 i = 0; i < LOOPS_MAX && passed < window; i++) {
		u64 now = port_in32(pm_port) & pm_mask;

		passed = (now - a.known) & pm_mask;
		if (i > 100000 && passed == 0)
			return false; // it stands
	}
	b = pm_sample();
	passed = (b.known - a.known) & pm_mask;
	if (passed < window)
		return false;
	set_rates(&a, &b, passed, PM_TIMER_HZ);
	return true;
}

// Channel 2 of the PIT in mode 0, its gate and output on port 61h.
static bool calibrate_pit(void)
{
	const u16 count = (u16)(PIT_HZ * WINDOW_MS / 1000);
	struct sample a, b;
	u32 i;

	port_out8(0x61, (u8)((port_in8(0x61) & ~2) | 1));
	port_out8(0x43, 0xB0);
	port_out8(0x42, (u8)count);
	port_out8(0x42, (u8)(count >> 8));
	a = (struct sample){0, time_now(), lapic_timer_current()};
	for (i = 0; i < LOOPS_MAX && !(port_in8(0x61) & 0x20); i++)
		;
	b = (struct sample){0, time_now(), lapic_timer_current()};
	if (i < 10 || !(port_in8(0x61) & 0x20))
		return false;
	set_rates(&a, &b, count, PIT_HZ);
	return true;
}

// What the processor or the hypervisor below says, 0 when nothing sensible.
static u64 tsc_hz_from_cpuid(void)
{
	struct cpuid r = {0};
	u64 hz = 0;

	if (cpu_info.max_leaf >= 0x15) {
		r = cpuid(0x15, 0);
		if (r.eax && r.ebx && r.ecx)
			hz = (u64)r.ecx * r.ebx / r.eax;
	}
	if (!hz && cpu_info.hypervisor && cpuid(0x40000000, 0).eax >= HYPERVISOR_TIMING &&
		cpuid(0x40000000, 0).eax < 0x40001000)
		hz = (u64)cpuid(HYPERVISOR_TIMING, 0).eax * 1000;
	return hz >= HZ_MIN && hz <= HZ_MAX ? hz : 0;
}

void time_init(const struct acpi_info *acpi)
{
	u64 told = tsc_hz_from_cpuid();
	const char *by = "the PM timer";

	lapic_timer_count(~0u);
	pm_mask = acpi->pm_timer_32 ? ~0u : 0xFFFFFF;
	pm_port = acpi->pm_timer.space == 1 ? (u16)acpi->pm_timer.address : 0;
	if (!pm_port || !calibrate_pm_timer()) {
		by = "the PIT";
		if (!calibrate_pit())
			time_hz = apic_hz = 0;
	}
	lapic_timer_count(0);
	// What CPUID says is exact, if it is anywhere near what we measured.
	if (told && (!time_hz || (told > time_hz / 100 * 97 && told < time_hz / 100 * 103))) {
		time_hz = told;
		by = "CPUID";
	}
	if (time_hz < HZ_MIN || time_hz > HZ_MAX || (apic_hz < 1000 && !cpu_info.tsc_deadline))
		panic("no clock of known rate: TSC %llu Hz, APIC timer %llu Hz",
			(unsigned long long)time_hz, (unsigned long long)apic_hz);
	time_ns_mul = scale(1000000000, time_hz);
	time_tick_mul = scale(time_hz, 1000000000);
	apic_mul = scale(apic_hz, time_hz);
	log_line("time: TSC %llu kHz by %s, %s", (unsigned long long)time_hz / 1000, by,
		cpu_info.tsc_deadline ? "deadline timer" : "APIC timer");
	if (!cpu_info.tsc_deadline)
		log_line("time: APIC timer %llu kHz", (unsigned long long)apic_hz / 1000);
}

void time_wait_ns(u64 ns)
{
	u64 start = time_now(), ticks = time_from_ns(ns);

	while (time_now() - start < ticks)
		cpu_relax();
}

// The count is rounded up, so that the timer never fires before its time; where the wait is too
// long for the counter it fires early, and timer_run() arms it again.
static u32 apic_count(u64 deadline)
{
	u64 now = time_now();
	unsigned __int128 count;

	if (deadline <= now)
		return 1;
	count = ((unsigned __int128)(deadline - now) * apic_mul >> 32) + 1;
	return count > ~0u ? ~0u : (u32)count;
}

void arch_timer_arm(u64 deadline)
{
	if (cpu_info.tsc_deadline) // 0 disarms; a deadline that has passed fires at once
		msr_write(MSR_TSC_DEADLINE, deadline == ~0ull ? 0 : MAX(deadline, 1));
	else
		lapic_timer_count(deadline == ~0ull ? 0 : apic_count(deadline));
}
