// SPDX-License-Identifier: MIT
// Atomic operations on plain integers; all are full barriers unless the name says relaxed.
#pragma once

#include "lib/types.h"

#define READ_ONCE(x)     (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

// The compiler moves no store or load over it. Enough where who looks does so on the same CPU, or after our death.
#define compiler_barrier() __atomic_signal_fence(__ATOMIC_SEQ_CST)

#define atomic_load(p)        __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define atomic_store(p, v)    __atomic_store_n(p, v, __ATOMIC_SEQ_CST)
#define atomic_exchange(p, v) __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#define atomic_or(p, v)       __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST)
#define atomic_and(p, v)      __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST)
#define atomic_add(p, v)      __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST)
#define atomic_sub(p, v)      __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST)

// The three below return what was there before.
static inline bool atomic_test_and_set_bit(u64 *word, unsigned bit)
{
	return atomic_or(word, 1ull << bit) >> bit & 1;
}

static inline bool atomic_test_and_clear_bit(u64 *word, unsigned bit)
{
	return atomic_and(word, ~(1ull << bit)) >> bit & 1;
}

static inline bool atomic_compare_exchange(u64 *p, u64 expected, u64 v)
{
	return __atomic_compare_exchange_n(
		p, &expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
