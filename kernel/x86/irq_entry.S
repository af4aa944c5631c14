// SPDX-License-Identifier: MIT
// The entries of device interrupts.
#include "kernel/x86/interrupt_call.inc"
#include "kernel/x86/irq_entry.h"

	.section .text.irq_entries, "ax"
	.globl irq_entries
irq_entries:
	.set n, 0
	.rept IRQ_COUNT / IRQ_GROUP
	.rept IRQ_GROUP
1:	.byte 0x6a, (n - 128) & 0xff    // pushq: what fits into one byte, with its sign
	.byte 0xeb, 2f - 1b - IRQ_ENTRY_SIZE
	.set n, n + 1
	.endr
2:	.byte 0xe9
	.long irq_common - 2b - IRQ_JUMP_SIZE
	.endr

irq_common:
	xchgq %rdi, (%rsp)
	addl $128, %edi
	interrupt_call irq_dispatch

	.section .note.GNU-stack, "", @progbits
