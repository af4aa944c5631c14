// SPDX-License-Identifier: MIT
// The calendar of the real-time clock: between seconds and the registers of the MC146818.

#include "kernel/vm/vrtc_time.h"

#define DAY 86400u

enum {
	SECOND = 0,
	SECOND_ALARM,
	MINUTE,
	MINUTE_ALARM,
	HOUR,
	HOUR_ALARM,
	WEEKDAY,
	DAY_OF_MONTH,
	MONTH,
	YEAR
};

static u8 encode(const u8 *regs, u64 n)
{
	return (u8)(regs[VRTC_REG_B] & VRTC_B_BINARY ? n : n / 10 << 4 | n % 10);
}

static unsigned decode(const u8 *regs, u8 value)
{
	return regs[VRTC_REG_B] & VRTC_B_BINARY ? value : (value >> 4) * 10u + (value & 15u);
}

static u8 encode_hour(const u8 *regs, u64 hour)
{
	if (regs[VRTC_REG_B] & VRTC_B_24H)
		return encode(regs, hour);
	return (u8)(encode(regs, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0));
}

static unsigned decode_hour(const u8 *regs, u8 value)
{
	if (regs[VRTC_REG_B] & VRTC_B_24H)
		return decode(regs, value);
	return decode(regs, value & 0x7f) % 12 + (value & 0x80 ? 12 : 0);
}

// Days since 1970-01-01 of a date in the Gregorian calendar; years begin in March, so that the leap day is the last.
static u64 days_from_date(u64 year, u64 month, u64 day)
{
	u64 y = year - (month <= 2), m = (month + 9) % 12;

	return y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static void date_from_days(u64 days, u64 *year, u64 *month, u64 *day)
{
	u64 d = days + 719468, era = d / 146097, doe = d % 146097;
	u64 yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	u64 doy = doe - (365 * yoe + yoe / 4 - yoe / 100), m = (5 * doy + 2) / 153;

	*day = doy - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = yoe + era * 400 + (*month <= 2);
}

void vrtc_time_put(u8 *regs, u64 seconds)
{
	u64 days = seconds / DAY, rest = seconds % DAY, year, month, day;

	date_from_days(days, &year, &month, &day);
	regs[SECOND] = encode(regs, rest % 60);
	regs[MINUTE] = encode(regs, rest / 60 % 60);
	regs[HOUR] = encode_hour(regs, rest / 3600);
	regs[WEEKDAY] = (u8)((days + 4) % 7 + 1); // 1: Sunday
	regs[DAY_OF_MONTH] = encode(regs, day);
	regs[MONTH] = encode(regs, month);
	regs[YEAR] = encode(regs, year % 100);
	regs[VRTC_CENTURY] = encode(regs, year / 100 % 100);
}

u64 vrtc_time_get(const u8 *regs)
{
	u64 year = decode(regs, regs[VRTC_CENTURY]) % 100 * 100 + decode(regs, regs[YEAR]) % 100;
	u64 month = decode(regs, regs[MONTH]) % 13, day = decode(regs, regs[DAY_OF_MONTH]) % 32;

	if (year < 1970 || year >= 2500) // nanoseconds end in 2554
		year = 2000 + year % 100;
	return days_from_date(year, month ? month : 1, day ? day : 1) * DAY +
	       decode_hour(regs, regs[HOUR]) % 24 * 3600u + decode(regs, regs[MINUTE]) % 60 * 60u +
	       decode(regs, regs[SECOND]) % 60;
}

static bool matches(u8 alarm, u8 value)
{
	return alarm >= 0xc0 || alarm == value;
}

// The second of the day at or after `from` that matches; DAY: none.
static unsigned alarm_in_day(const u8 *regs, unsigned from)
{
	for (unsigned hour = from / 3600; hour < 24; hour++) {
		if (!matches(regs[HOUR_ALARM], encode_hour(regs, hour)))
			continue;
		for (unsigned minute = 0; minute < 60; minute++) {
			unsigned at = hour * 3600 + minute * 60;

			if (at + 59 < from || !matches(regs[MINUTE_ALARM], encode(regs, minute)))
				continue;
			for (unsigned second = at < from ? from - at : 0; second < 60; second++)
				if (matches(regs[SECOND_ALARM], encode(regs, second)))
					return at + second;
		}
	}
	return DAY;
}

u64 vrtc_next_alarm(const u8 *regs, u64 seconds)
{
	u64 from = seconds + 1, today = from - from % DAY;
	unsigned at = alarm_in_day(regs, (unsigned)(from % DAY));

	if (at == DAY) {
		today += DAY;
		at = alarm_in_day(regs, 0);
	}
	return at == DAY ? VRTC_NO_ALARM : today + at;
}
