// SPDX-License-Identifier: MIT
// The machine's real-time clock, read once; its use is kernel/core/wallclock.h.
#pragma once

// Needs the TSC's rate.
void rtc_init(void);
