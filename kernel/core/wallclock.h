// SPDX-License-Identifier: MIT
// The time of day.
#pragma once

#include "lib/types.h"

// Nanoseconds since 1970-01-01 00:00 UTC, from the machine's RTC at boot and the TSC since. Any context.
u64 wall_clock_ns(void);
