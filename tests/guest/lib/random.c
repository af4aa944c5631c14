// SPDX-License-Identifier: MIT
// Pseudo-random numbers (xorshift64*), one sequence a CPU, the same for the same seed.
#include "guest.h"
#include "smp.h"
#include "console.h"

void random_seed_cpu(u64 seed)
{
	struct cpu *cpu = this_cpu();

	cpu->random = (seed + 1 + 64 * cpu->index) * 0x9E3779B97F4A7C15ull | 1;
	for (int i = 0; i < 8; i++)
		random64();
}

u64 random64(void)
{
	u64 *s = &this_cpu()->random;

	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return *s * 0x2545F4914F6CDD1Dull;
}

u64 random_below(u64 n)
{
	return (random64() >> 11) % n;
}

u64 random_odd(void)
{
	u64 r = random64();

	switch (r >> 61) {
	case 0:
		return r & 0xFF;
	case 1:
		return ~0ull - (r & 0xF);
	case 2:
		return BIT(r & 63);
	case 3:
		return BIT(r & 63) - 1 - (r >> 8 & 0xF);
	case 4:
		return r & 0xFFFFFFFF;
	case 5:
		return 0xFFFFFFFFull + (r & 0x1F) - 0xF;
	case 6:
		return 0x7FFFFFFFFFFFull + (r & 0x1F) - 0xF; // the edge of the canonical addresses
	default:
		return random64();
	}
}
