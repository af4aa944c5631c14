// SPDX-License-Identifier: MIT
// The calendar of the real-time clock: between seconds and the registers of the MC146818.
#pragma once

#include "lib/types.h"

#define VRTC_CENTURY  0x32u // register that holds the century, as the FADT says
#define VRTC_REG_B    0x0bu
#define VRTC_B_BINARY 0x04u // else BCD
#define VRTC_B_24H    0x02u // else 12 hours, bit 7: p.m.

#define VRTC_NO_ALARM (~0ull)

// regs: the chip's registers; B among them gives the format. Seconds are since 1970. Whatever stands in the registers,
// a time comes out: fields are wrapped into their range.
void vrtc_time_put(u8 *regs, u64 seconds);
u64 vrtc_time_get(const u8 *regs);

// The first second after `seconds` at which the alarm registers match (C0h and above match always).
u64 vrtc_next_alarm(const u8 *regs, u64 seconds);
