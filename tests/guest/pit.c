// SPDX-License-Identifier: MIT
// The 8254: modes 0, 2 and 3, latch, read-back, byte access, gate and output of channel 2 at port 61h.
#include "guest.h"
#include "pic.h"

#define STATUS_OUT  0x80
#define STATUS_NULL 0x40

static u16 latched(u8 channel)
{
	u8 low;

	outb(0x43, (u8)(channel << 6));
	low = inb((u16)(0x40 + channel));
	return (u16)(inb((u16)(0x40 + channel)) << 8 | low);
}

static u8 status(u8 channel)
{
	outb(0x43, (u8)(0xE0 | 2 << channel));
	return inb((u16)(0x40 + channel));
}

static void test_mode0(void)
{
	pit_load(0, 0, 0xFFFF);
	check(!(status(0) & STATUS_OUT), "mode 0: output low at first");
	check((status(0) & 0x3F) == 0x30, "mode 0: status 0x%x", status(0));
	pit_load(0, 0, PIT_PERIOD);
	check(wait_until(status(0) & STATUS_OUT, 1000), "mode 0: high at the end");
	delay_us(3000);
	check(status(0) & STATUS_OUT, "mode 0: and it stays high");
	if (arg_given("qemu")) // knows neither this nor the null-count flag
		return;
	outb(0x43, 0x30);
	check(!(status(0) & STATUS_OUT) && (status(0) & STATUS_NULL),
		"mode 0: low without a count");
}

static void test_rate(u8 mode, u32 steps)
{
	u32 fell = 0, reloads = 0, start, last;
	u64 end;

	pit_load(0, mode, 0); // 65536: 55 ms
	delay_us(1000);
	check((status(0) & 0x3F) == (0x30 | mode << 1), "mode %u: status 0x%x", mode, status(0));
	start = latched(0);
	delay_us(5000);
	fell = (u16)(start - latched(0));
	check(fell > steps * 5000, "mode %u: counts %u in 5 ms", mode, fell);
	last = latched(0);
	end = deadline_ms(140);
	while (!deadline_past(end)) {
		u32 now = latched(0);

		reloads += now > last;
		last = now;
	}
	check(reloads >= 1 && reloads <= 3 * steps, "mode %u: %u reloads in 140 ms", mode, reloads);
}

static void test_access(void)
{
	u16 first, second;

	pit_load(0, 2, 0);
	outb(0x43, 0x00);
	delay_us(2000);
	first = (u16)(inb(0x40) | inb(0x40) << 8);
	outb(0x43, 0x00);
	second = (u16)(inb(0x40) | inb(0x40) << 8);
	check(first != second, "a latch holds one value (%u, then %u)", first, second);
	outb(0x43, 0xC2); // read-back: status and count of channel 0
	check((inb(0x40) & 0x3F) == 0x34, "read-back gives the status first");
	first = (u16)(inb(0x40) | inb(0x40) << 8);
	check((u16)(second - first) < 0x8000, "and then the count (%u)", first);
	outb(0x43, 0x14); // low byte only
	outb(0x40, 200);
	delay_us(500);
	check(inb(0x40) <= 200, "low byte only");
	pit_stop();
}

static void test_channel2(void)
{
	u8 port = inb(0x61) & 0xFC, refresh;
	u16 held;

	outb(0x61, port);
	pit_load(2, 0, PIT_PERIOD);
	held = latched(2);
	delay_us(15000);
	check((latched(2) == held && !(inb(0x61) & 0x20)) || arg_given("qemu"),
		"channel 2: the gate at port 61h holds it");
	outb(0x61, port | 1);
	check(wait_until(inb(0x61) & 0x20, 1000), "channel 2: its output is seen at port 61h");
	check((inb(0x61) & 3) == 1, "port 61h reads back");
	outb(0x61, port);
	refresh = inb(0x61) & 0x10;
	check(wait_until((inb(0x61) & 0x10) != refresh, 100), "the refresh bit toggles");
	pit_load(2, 3, PIT_PERIOD);
	outb(0x61, port | 1);
	check(wait_until(inb(0x61) & 0x20, 1000) && wait_until(!(inb(0x61) & 0x20), 1000),
		"channel 2: a square wave in mode 3");
	outb(0x61, port);
}

void guest_main(void)
{
	tsc_per_ms();
	test_mode0();
	test_rate(2, 1);
	test_rate(3, 2);
	test_access();
	test_channel2();
}
