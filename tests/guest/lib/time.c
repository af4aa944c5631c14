// SPDX-License-Identifier: MIT
// Time by the TSC, measured once against channel 2 of the PIT.
#include "guest.h"

#define PIT_HZ 1193182

#define WINDOW_MS 20

static u64 per_ms;

// TSC ticks that passed while the PIT counted, and how far that may be off.
struct measure {
	u64 ticks, doubt;
};

// Channel 2 counts down from `count` once its gate opens; its output is bit 5 of port 0x61. It began between the two reads of the
// TSC round the gate's opening, and ended after the last poll but one began and before the last was over: when the host lets us wait
// in one of these it is seen.
static struct measure measure(u32 count)
{
	u8 gate = inb(0x61) & 0xFC;
	u64 before, after, last, poll, end;

	outb(0x61, gate);
	outb(0x43, 0xB0);
	outb(0x42, (u8)count);
	outb(0x42, (u8)(count >> 8));
	before = rdtsc();
	outb(0x61, gate | 1);
	after = poll = rdtsc();
	do {
		last = poll;
		poll = rdtsc();
		gate = inb(0x61);
	} while (!(gate & 0x20));
	end = rdtsc();
	outb(0x61, gate & 0xFC);
	return (struct measure){(last + end - before - after) / 2, (end - last) + (after - before)};
}

u64 tsc_per_ms(void)
{
	struct measure best = {.doubt = ~0ull};

	for (int i = 0; i < 50 && !per_ms; i++) {
		struct measure m = measure(PIT_HZ * WINDOW_MS / 1000);

		if (m.doubt < best.doubt)
			best = m;
		if (best.doubt < best.ticks / 100)
			break;
	}
	if (!per_ms)
		per_ms = best.ticks / WINDOW_MS;
	return per_ms;
}

u64 deadline_ms(u64 ms)
{
	return rdtsc() + ms * tsc_per_ms();
}

void delay_us(u64 us)
{
	u64 end = rdtsc() + us * tsc_per_ms() / 1000;

	while (!deadline_past(end))
		cpu_relax();
}
