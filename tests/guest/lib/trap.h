// SPDX-License-Identifier: MIT
// Exceptions and interrupts of a guest: handlers, and calls that survive a fault.
#pragma once

#include "lib/types.h"

// What the entry code pushes; a handler may change it and so change where it returns to.
struct trap {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

#define NO_FAULT (-1)

typedef void trap_fn(struct trap *t);

// Gives a vector a handler, on all CPUs; NULL takes it away. Interrupts are off while it runs.
// A vector without one ends the guest with code 1, unless try_call is underway (exceptions but NMI).
void trap_handle(u32 vector, trap_fn *fn);

// Runs fn(arg); returns the vector of the exception that ended it, or NO_FAULT. A handler set for a
// vector goes before. fn is left in its middle: it must not hold what others wait for.
int try_call(void (*fn)(void *), void *arg);

// Error code, CR2, RIP and RAX of this CPU's last exception that try_call caught.
u64 try_error(void);
u64 try_rax(void);
u64 try_cr2(void);
u64 try_rip(void);

// Often used forms: NO_FAULT or the vector.
int try_rdmsr(u32 msr, u64 *v);
int try_wrmsr(u32 msr, u64 v);
int try_write_cr0(u64 v);
int try_write_cr3(u64 v);
int try_write_cr4(u64 v);

// Loads IDT, GDT and TSS of this CPU (again).
void trap_init_cpu(void);
