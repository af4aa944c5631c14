// SPDX-License-Identifier: MIT
// The taps of a VM's network cards, which mezzd has made (docs/backends.md).
#pragma once

#include "lib/types.h"

// Opens the tap of that name, not blocking. -1 after a message; *busy, without one: another process has it open.
int tap_open(unsigned card, const char *name, bool *busy);
