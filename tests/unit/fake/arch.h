// SPDX-License-Identifier: MIT
// The fake architecture under kernel/core in unit tests: a clock that the test moves, CPUs that the test plays,
// and a piece of host memory as RAM from physical address 0.
#pragma once

#include "lib/addr.h"

struct pcpu;

extern _Thread_local struct pcpu *fake_cpu; // the CPU that the test (this thread of it) plays now
extern u64 fake_now;                        // the clock; one tick is one nanosecond
extern u64 fake_kicks[64];                  // arch_kick calls per CPU
extern u64 fake_armed[64];                  // what each CPU's timer is set to
extern u64 fake_arms;                       // arch_timer_arm calls
extern u64 fake_zeroed;                     // bytes zeroed by arch_zero
extern void (*fake_relax)(void); // called by cpu_relax, so that a test can play the other CPU
extern void (*fake_idle)(void);  // called by arch_idle: what comes meanwhile
extern unsigned fake_log_lines;  // lines logged, where the test is not linked with log.c
extern bool fake_expect_panic;   // see FAKE_PANICS

struct pcpu *this_pcpu(void);
void cpu_relax(void);
u64 time_now(void);
void *hpa_to_va(hpa_t a);
hpa_t va_to_hpa(const void *p);
void arch_zero(void *p, size_t n);
void arch_kick(struct pcpu *p);
void arch_timer_arm(u64 deadline);
void arch_idle(void);
void arch_take_interrupts(void);

static inline u64 time_to_ns(u64 ticks)
{
	return ticks;
}
static inline u64 time_from_ns(u64 ns)
{
	return ns;
}

// Makes `count` CPUs, the clock 0 and CPU 0 the current one.
void fake_reset(u32 count);

// Makes RAM of `size` bytes (filled with 0xa5) for hpa_to_va; what was there before is given back.
void *fake_ram(size_t size);

// Runs the statement; true when it ended in panic().
#include <setjmp.h>
extern jmp_buf fake_panic_jump;
#define FAKE_PANICS(statement)                                                                     \
	({                                                                                         \
		volatile bool panicked_ = true;                                                    \
		fake_expect_panic = true;                                                          \
		if (!setjmp(fake_panic_jump)) {                                                    \
			statement;                                                                 \
			panicked_ = false;                                                         \
		}                                                                                  \
		fake_expect_panic = false;                                                         \
		panicked_;                                                                         \
	})
