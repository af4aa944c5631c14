// SPDX-License-Identifier: MIT
// Long text for the console, shown piece by piece as the serial line takes it, so that no CPU is held up.
#pragma once

#include "lib/types.h"

// Shows what `next` gives until it gives nothing, after what was asked for before. next(out, size) puts at most size bytes,
// whole lines or parts of them, and returns how many; it is called from a timer on CPU 0, with no lock held. To be called
// on CPU 0 (by a key of the console). false: the same is being shown already, or too much waits.
bool pager_show(size_t (*next)(char *out, size_t size));
