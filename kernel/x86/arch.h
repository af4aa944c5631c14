// SPDX-License-Identifier: MIT
// What kernel/core needs from the architecture; the contracts stand at the end of
// kernel/core/pcpu.h.
#pragma once

#include "lib/addr.h"

struct pcpu;

#define DIRECT_MAP  0xFFFF800000000000ull // all RAM, RW, NX
#define MMIO_AREA   0xFFFFC00000000000ull // mmio_map hands it out
#define KERNEL_BASE 0xFFFFFFFF80000000ull // the image; physical 0
#define STACK_AREA  0xFFFFFFFFC0000000ull // 64 KiB of addresses for each CPU

static inline struct pcpu *this_pcpu(void)
{
	struct pcpu *p;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(p));
	return p;
}

static inline void cpu_relax(void)
{
	__asm__ volatile("pause" ::: "memory");
}

static inline u64 time_now(void)
{
	u32 lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
	return (u64)hi << 32 | lo;
}

static inline void *hpa_to_va(hpa_t a)
{
	return (void *)(DIRECT_MAP + a.v);
}
static inline hpa_t va_to_hpa(const void *p)
{
	return hpa((u64)p - DIRECT_MAP);
}

void arch_zero(void *p, size_t n);
void arch_kick(struct pcpu *p);
void arch_timer_arm(u64 deadline);
void arch_idle(void);

static inline void arch_take_interrupts(void)
{
	__asm__ volatile("sti; nop; cli" ::: "memory");
}

// The clock's rate and scale: ns = ticks * time_ns_mul >> 32, ticks = ns * time_tick_mul >> 32.
extern u64 time_hz, time_ns_mul, time_tick_mul;

static inline u64 time_to_ns(u64 ticks)
{
	return (u64)((unsigned __int128)ticks * time_ns_mul >> 32);
}
static inline u64 time_from_ns(u64 ns)
{
	return (u64)((unsigned __int128)ns * time_tick_mul >> 32);
}
