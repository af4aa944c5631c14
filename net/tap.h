// SPDX-License-Identifier: MIT
// The name of the tap of a VM's network card in the root VM: mezzd makes it, the back-end opens it (docs/backends.md).
#pragma once

#include <stdio.h>

#include "lib/types.h"

#define NET_TAP_NAME 16u // bytes, as Linux's IFNAMSIZ

// vm: its id; card: its number among the VM's `nic` lines, from 0.
static inline void net_tap_name(char name[NET_TAP_NAME], u32 vm, unsigned card)
{
	snprintf(name, NET_TAP_NAME, "mz%u-%u", vm, card % 100);
}
