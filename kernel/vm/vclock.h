// SPDX-License-Identifier: MIT
// Device clocks derived from the kernel's one clock.
#pragma once

#include "kernel/core/pcpu.h"

#define NS_PER_SEC 1000000000ull

// Ticks of a clock of `hz` (below 1 GHz) that fit into ns nanoseconds.
static inline u64 clock_from_ns(u64 ns, u64 hz)
{
	// 64 bits behind the point, rounded up, so that whole ticks come out whole; a constant for a constant hz.
	u64 per_ns = (u64)(((unsigned __int128)hz << 64) / NS_PER_SEC) + 1;

	return (u64)((unsigned __int128)ns * per_ns >> 64);
}

// Ticks of such a clock since the kernel's clock began.
#define CLOCK_NOW(hz) clock_from_ns(time_to_ns(time_now()), hz)

// A deadline of the kernel's timers: `ticks` of a clock of `hz` from now, not early.
static inline u64 clock_deadline(u64 ticks, u64 hz)
{
	u64 seconds = ticks / hz;

	if (seconds > 10 * 365 * 86400ull)
		seconds =
			10 * 365 * 86400ull; // keeps the sum below in range; nobody waits that long
	return time_now() + time_from_ns(seconds * NS_PER_SEC + ticks % hz * NS_PER_SEC / hz + 1);
}
