// SPDX-License-Identifier: MIT
// Checks in debug builds that every CPU takes locks in rising rank; the order stands in docs/locking.md.
#include "kernel/core/log.h"
#include "kernel/core/pcpu.h"

static u16 held[PCPU_MAX]; // own CPU: the ranks of the locks it holds

void lock_check_take(u8 rank)
{
	u16 *mine = &held[this_pcpu()->id];

	if (!rank || *mine >> rank) {
		u16 before = *mine;

		*mine = 0; // the report takes no lock, but a test goes on
		panic("a lock of rank %u is taken while those of ranks %#x are held", rank, before);
	}
	*mine |= (u16)(1u << rank);
}

void lock_check_drop(u8 rank)
{
	u16 *mine = &held[this_pcpu()->id];

	ASSERT(*mine >> rank & 1);
	*mine &= (u16) ~(1u << rank);
}
