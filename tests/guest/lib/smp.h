// SPDX-License-Identifier: MIT
// The CPUs of a guest: its own data, starting the others, giving them work.
#pragma once

#include "lib/types.h"
#include "layout.h"

struct __attribute__((packed)) tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7];
	u64 reserved2;
	u16 reserved3, iomap;
};

// At the bottom of each CPU's stack, so that it needs no register to be found.
struct cpu {
	u64 try_sp; // stack that a fault goes back to; 0: none
	u64 try_error, try_cr2, try_rip, try_rax;
	u32 index; // 0: the boot CPU
	u32 apic_id;
	u64 random; // state of the generator
	struct tss tss;
	u32 started; // counts arrivals in ap_main
	void (*volatile work)(void *);
	void *volatile arg;
};
_Static_assert(sizeof(struct cpu) < IST_TOP - 2048, "the double-fault stack needs its room");

static inline struct cpu *this_cpu(void)
{
	u64 sp;

	__asm__ volatile("mov %%rsp, %0" : "=r"(sp));
	return (struct cpu *)ALIGN_DOWN(sp, STACK_SIZE);
}

struct cpu *cpu_at(u32 index);

// Finds the CPUs in the MADT and starts those that are not the boot CPU; returns how many run (with it).
// Those that did not come in two seconds are missed in the count.
u32 smp_start(void);

// CPUs that the MADT names, once smp_start has run.
u32 smp_count(void);

// Sends one CPU INIT and STARTUP, as smp_start does; it then waits for work again.
void smp_restart(u32 index);

// Hands a CPU work (it must be waiting), or all others; smp_wait returns when all have done theirs.
void smp_run(u32 index, void (*fn)(void *), void *arg);
void smp_run_others(void (*fn)(void *), void *arg);
void smp_wait(void);

#define VEC_WAKE 0xFE // the interrupt that ends a waiting CPU's HLT
