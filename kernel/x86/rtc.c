// SPDX-License-Identifier: MIT
// The time of day: read at start from the MC146818 RTC, counted on by the TSC.
#include "kernel/x86/rtc.h"
#include "kernel/core/log.h"
#include "kernel/core/wallclock.h"
#include "kernel/x86/arch.h"
#include "kernel/x86/port.h"

#define RTC_INDEX  0x70u
#define RTC_DATA   0x71u
#define STATUS_A   0x0A
#define STATUS_B   0x0B
#define A_UPDATING 0x80
#define B_BINARY   0x04
#define B_24_HOURS 0x02
#define PM         0x80 // of the hours, with the 12-hour clock
#define LOOPS_MAX  1000000
#define NS_PER_S   1000000000ull

struct date {
	u32 second, minute, hour, day, month, year;
};

static u64 start_ns, start_tsc;

static u8 rtc_read(u8 reg)
{
	port_out8(RTC_INDEX, reg);
	return port_in8(RTC_DATA);
}

static u32 from_bcd(u32 v, u8 status)
{
	return status & B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static struct date date_read(void)
{
	u8 b = rtc_read(STATUS_B), hour = rtc_read(4);
	struct date d = {
		.second = from_bcd(rtc_read(0), b),
		.minute = from_bcd(rtc_read(2), b),
		.hour = from_bcd(hour & (b & B_24_HOURS ? 0xFF : (u8)~PM), b),
		.day = from_bcd(rtc_read(7), b),
		.month = from_bcd(rtc_read(8), b),
		.year = 2000 + from_bcd(rtc_read(9), b),
	};

	if (!(b & B_24_HOURS))
		d.hour = d.hour % 12 + (hour & PM ? 12 : 0);
	return d;
}

// Days since 1970-01-01 by the Gregorian rule; years are counted from March, so that the leap day
// comes last.
static u64 days_since_1970(u32 year, u32 month, u32 day)
{
	u32 y = month > 2 ? year : year - 1;
	u32 m = month > 2 ? month - 3 : month + 9;

	return (u64)y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

void rtc_init(void)
{
	struct date d, again;

	for (int i = 0; i < LOOPS_MAX && rtc_read(STATUS_A) & A_UPDATING; i++)
		;
	d = date_read();
	for (int i = 0; i < 8;
		i++) { // an update may have come in between: believe what is read twice
		again = date_read();
		if (again.second == d.second)
			break;
		d = again;
	}
	start_tsc = time_now();
	if (d.month < 1 || d.month > 12)
		return;
	start_ns = (days_since_1970(d.year, d.month, d.day) * 86400 + d.hour * 3600 +
			   d.minute * 60 + d.second) *
		   NS_PER_S;
	log_line("time: %04u-%02u-%02u %02u:%02u:%02u UTC, %llu s since 1970", d.year, d.month,
		d.day, d.hour, d.minute, d.second, (unsigned long long)(start_ns / NS_PER_S));
}

u64 wall_clock_ns(void)
{
	return start_ns + time_to_ns(time_now() - start_tsc);
}
