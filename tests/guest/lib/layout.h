// SPDX-License-Identifier: MIT
// Numbers that a guest's assembly and C share: selectors, stacks, where the trampoline goes.
#pragma once

#define MAX_CPUS    64
#define STACK_SHIFT 14 // a CPU's stack is aligned to its size; struct cpu stands at its bottom
#define STACK_SIZE  (1 << STACK_SHIFT)
#define IST_TOP     4096 // offset in the stack of the end of the double-fault stack
#define TRAMPOLINE  0x8000

#define SEL_CODE64    0x08
#define SEL_DATA      0x10 // flat, 32-bit, for every mode
#define SEL_CODE32    0x18
#define SEL_CODE16    0x20 // base 0, limit 64 KiB
#define SEL_DATA16    0x28
#define SEL_FREE      0x30 // four descriptors for a test's own use, shared by all CPUs
#define SEL_USER_CODE 0x53 // 64-bit
#define SEL_USER_DATA 0x5B
#define SEL_TSS       0x60 // two descriptors a CPU
