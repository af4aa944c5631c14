// SPDX-License-Identifier: MIT
// Exceptions and interrupts of the physical machine.
#pragma once

#include "lib/types.h"

enum {
	VECTOR_DOUBLE_FAULT = 8,
	VECTOR_NMI = 2,
	VECTOR_MACHINE_CHECK = 18,
	VECTOR_TIMER = 0xF0, // the highest vectors are ours
	VECTOR_KICK = 0xF1,
	VECTOR_SERIAL = 0xF2,
	VECTOR_SPURIOUS = 0xFF,
};

// As entry.S pushes it.
struct trap_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8;
	u64 rbp, rdi, rsi, rdx, rcx, rbx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS  0x18

// The interrupt descriptor table: first exceptions only, all vectors when kmem_alloc works. The next
// desc_load loads it.
void idt_init(void);
void idt_init_all(void);

// One vector's entry, for all CPUs.
void idt_set(u32 vector, const void *entry);

// Loads this CPU's GDT, TSS, IDT and GS base.
struct pcpu;
void desc_load(struct pcpu *p);

// Called by entry.S.
void trap_exception(struct trap_frame *f);
void trap_interrupt(u64 vector);

// Panics with these registers in the report.
_Noreturn void panic_trap(const struct trap_frame *f, const char *what);

// A CPU that gets an NMI while this is set stops for good.
extern u64 machine_stopping;
