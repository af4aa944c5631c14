// SPDX-License-Identifier: MIT
// The entries of device interrupts.
#include "kernel/x86/interrupt_call.inc"
#include "kernel/x86/irq_entry.h"

	.section .text.irq_entries, "ax"
	.globl irq_entries
	.balign IRQ_ENTRY_SIZE
irq_entries:
	.set n, 0
	.rept IRQ_COUNT
	.balign IRQ_ENTRY_SIZE
	pushq $n - 128                  // what fits into one byte, with its sign
	jmp irq_common
	.set n, n + 1
	.endr

irq_common:
	xchgq %rdi, (%rsp)
	addl $128, %edi
	interrupt_call irq_dispatch

	.section .note.GNU-stack, "", @progbits
