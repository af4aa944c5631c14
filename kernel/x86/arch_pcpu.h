// SPDX-License-Identifier: MIT
// The part of a physical CPU that only the architecture knows.
#pragma once

#include "kernel/core/pcpu.h"

#define STACK_SIZE 16384ull
#define STACK_SLOT                                                                                 \
	65536ull // addresses for each CPU: the stack and three small ones, a guard page below each
#define IST_SIZE  4096ull
#define IST_COUNT 3 // double fault, NMI, machine check

struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7];
	u64 reserved2;
	u16 reserved3;
	u16 io_map;
} __attribute__((packed));

_Static_assert(sizeof(struct tss) == 104, "as the processor has it");

struct arch_pcpu {
	u64 gdt[5]; // null, code, data, TSS (two)
	struct tss tss;
	u64 spurious; // interrupts nobody asked for
	u64 stack_top;
	u64 started; // atomic: when it reached its own code, in ticks; 0: not yet
	u64 ready;   // atomic: it can run guests
};

// Makes CPU `id`: its struct and its stacks.
struct pcpu *arch_pcpu_create(u32 id, u32 apic_id);
