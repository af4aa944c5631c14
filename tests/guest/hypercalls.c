// SPDX-License-Identifier: MIT
// Hypercalls with any number and any argument, and the host asked to write to addresses that are unaligned,
// wrap, end with RAM, or are no RAM.
#include "guest.h"
#include "apic.h"
#include "irq.h"
#include "pv.h"
#include "smp.h"

static u64 odd_address(void)
{
	switch (random_below(6)) {
	case 0:
		return memory_top() - random_below(64);
	case 1:
		return memory_top() + random_below(0x10000);
	case 2:
		return ~0ull - random_below(128);
	case 3:
		return APIC_DEFAULT + random_below(0x1000);
	case 4:
		return BIT(random_below(12) + 52) | random_below(0x1000);
	default:
		return random64();
	}
}

static void vmcall(void *arg)
{
	u64 nr = (u64)arg;

	__asm__ volatile("vmcall"
			 : "+a"(nr)
			 : "b"(0ull), "c"(0ull), "d"(0ull), "S"(0ull)
			 : "memory");
}

static void hypercall(void *arg)
{
	u64 *a = arg;

	a[0] = (u64)pv_hypercall(a[0], a[1], a[2], a[3], a[4]);
}

static void random_calls(u64 n)
{
	u32 faults = 0;

	while (n--) {
		u64 a[5];

		a[0] = random64() & 1 ? random_below(16) : random_odd();
		for (u32 i = 1; i < 5; i++)
			a[i] = random64() & 1 ? random_odd() : odd_address();
		if (a[0] == PV_HC_SEND_IPI) // a fixed interrupt that is counted
			a[4] = (a[4] & ~0x7FFull) | 0x90 | (random64() & 0xF);
		faults += try_call(hypercall, a) != NO_FAULT;
	}
	check(!faults, "a hypercall is answered, not faulted (%u)", faults);
}

// SEND_IPI with delivery modes: those that would stop a CPU are refused or go to nobody.
static void send_ipi_edges(void)
{
	static const u64 masks[] = {0, 1, ~0ull, BIT(63)};
	s64 r;

	for (u32 i = 0; i < 16; i++) {
		u64 low = masks[i & 3], high = masks[i >> 2];

		r = pv_hypercall(PV_HC_SEND_IPI, low, high, 0, 0x91);
		check_quiet(
			r >= -1000 && r <= 128, "SEND_IPI to 0x%lx 0x%lx gives %ld", low, high, r);
		r = pv_hypercall(PV_HC_SEND_IPI, low, high, ~0ull - 63, 0x91);
		check_quiet(r <= 0, "SEND_IPI from a wrapping id gives %ld", r);
		r = pv_hypercall(PV_HC_SEND_IPI, low, high, 0xFFFFFFC0, 0x91);
		check_quiet(r <= 0, "SEND_IPI from id 0xFFFFFFC0 gives %ld", r);
	}
	r = pv_hypercall(PV_HC_KICK, 0, 0xFFFFFFFF, 0, 0);
	check(r <= 0, "KICK_CPU of nobody gives %ld", r);
	r = pv_hypercall(PV_HC_YIELD, ~0ull, 0, 0, 0);
	check(r <= 0, "YIELD to nobody gives %ld", r);
}

static void host_writes(u64 n)
{
	static const u32 msrs[] = {MSR_PV_WALL, MSR_PV_CLOCK, MSR_PV_STEAL, MSR_PV_EOI, 0x11, 0x12};
	u32 taken = 0;

	while (n--) {
		u32 msr = msrs[random_below(ARRAY_SIZE(msrs))];

		taken += try_wrmsr(msr, odd_address() | (random64() & 1)) == NO_FAULT;
		if (random_below(4) == 0)
			apic_ipi(0, APIC_TO_SELF | APIC_ASSERT | 0x90);
		if (random_below(8) == 0)
			cpuid(0, 0);
	}
	for (u32 i = 1; i < 4; i++)
		(void)try_wrmsr(msrs[i], 0);
	print("%u addresses were taken\n", taken);
}

// The last words of RAM may be asked for; what stands around them must stay.
static void end_of_ram(void)
{
	volatile u64 *last = (void *)(ALIGN_DOWN(memory_top(), PAGE_SIZE) - 128);
	u32 touched = 0;

	for (u32 i = 0; i < 16; i++)
		last[i] = 0x1122334455667788;
	wrmsr(MSR_PV_CLOCK, (u64)&last[12] | 1); // 32 bytes to the very end
	check(last[12] != 0x1122334455667788 || last[13] != 0x1122334455667788,
		"the clock stands at the end of RAM");
	wrmsr(MSR_PV_CLOCK, 0);
	for (u32 i = 0; i < 12; i++)
		touched += last[i] != 0x1122334455667788;
	check(!touched, "and nothing else was written");
}

void guest_main(void)
{
	u64 n = arg_number("n", 5000);
	int fault;
	s64 r;

	for (u32 vector = 0x90; vector < 0xA0; vector++)
		irq_count(vector);
	smp_start();
	r = pv_hypercall(0x12345, 0, 0, 0, 0);
	check(r == -1000, "an unknown number gives %ld", r);
	fault = try_call(vmcall, (void *)0x12345);
	check(fault == NO_FAULT || fault == VEC_UD, "VMCALL, of the other vendor: %d", fault);
	send_ipi_edges();
	random_calls(n);
	host_writes(n / 2);
	end_of_ram();
	r = pv_hypercall(0x12345, 0, 0, 0, 0);
	check(r == -1000, "hypercalls still work");
}
