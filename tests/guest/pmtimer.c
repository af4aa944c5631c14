// SPDX-License-Identifier: MIT
// The ACPI PM timer: where the FADT says, never going back, 3.579545 MHz by the TSC.
#include "guest.h"
#include "acpi.h"

#define HZ 3579545

struct sample {
	u32 ticks;
	u64 tsc;
};

// Both clocks at one moment: of many readings the one that took the least.
static struct sample sample(u16 port)
{
	struct sample best = {0, 0};
	u64 least = ~0ull;

	for (u32 i = 0; i < 50; i++) {
		u64 t0 = rdtsc(), t1;
		u32 ticks = inl(port);

		t1 = rdtsc();
		if (t1 - t0 < least) {
			least = t1 - t0;
			best = (struct sample){ticks, t0 + least / 2};
		}
	}
	return best;
}

static bool near(u32 ticks, u64 ms)
{
	return ms && ticks > HZ / 1000 * ms * 9 / 10 && ticks < HZ / 1000 * (ms + 1) * 11 / 10;
}

void guest_main(void)
{
	u16 port = (u16)fadt_field(FADT_PM_TIMER, 4);
	u32 mask = fadt_field(FADT_FLAGS, 4) & FADT_FLAG_TIMER32 ? 0xFFFFFFFF : 0xFFFFFF;
	u32 last, back = 0, fell = 0;
	struct sample before, after;
	u64 ms = 0;

	tsc_per_ms();
	if (!check(port, "the FADT names port 0x%x", port))
		return;
	last = inl(port);
	for (u32 i = 0; i < 2000; i++) {
		u32 now = inl(port);

		back += ((now - last) & mask) > mask / 2;
		last = now;
	}
	check(!back, "it never goes back");
	before = sample(port);
	delay_us(200000);
	after = sample(port);
	fell = (after.ticks - before.ticks) & mask;
	ms = (after.tsc - before.tsc) / tsc_per_ms();
	check(near(fell, ms), "%u ticks in %lu ms", fell, ms);
	check((inl(port) & ~mask) == 0, "the bits above it are 0");
}
