// SPDX-License-Identifier: MIT
// The smallest guest: the library itself works, and what is said of the end comes true.
#include "guest.h"

static void divide(void *arg)
{
	u32 zero = 0;

	(void)arg;
	__asm__ volatile("div %0" : : "r"(zero), "a"(1), "d"(0));
}

void guest_main(void)
{
	print("hello from a tiny guest\n");
	check(read_cr0() & CR0_PG && rdmsr(MSR_EFER) & EFER_LMA, "long mode is on");
	check(try_call(divide, NULL) == VEC_DE, "a division by zero is caught");
	check(memory_top() >= 16 * MiB, "RAM ends at 0x%lx", memory_top());
	check(tsc_per_ms() > 1000, "the TSC counts %lu a millisecond", tsc_per_ms());
	if (arg_number("code", 0))
		guest_exit((u32)arg_number("code", 0));
}
