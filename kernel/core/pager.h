// SPDX-License-Identifier: MIT
// Long text for the console, shown piece by piece as the serial line takes it, so that no CPU is held up.
#pragma once

#include "lib/types.h"

// Shows what `next` gives until it gives nothing. next(out, size) puts at most size bytes, whole lines or parts of them, and
// returns how many; it is called from a timer on the calling CPU, with no lock held. false: something is being shown.
bool pager_start(size_t (*next)(char *out, size_t size));
