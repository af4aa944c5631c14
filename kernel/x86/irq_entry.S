// SPDX-License-Identifier: MIT
// The entries of device interrupts: only what a C function may change is kept.
#include "kernel/x86/irq_entry.h"

	.section .text.irq_entries, "ax"
	.globl irq_entries
	.balign IRQ_ENTRY_SIZE
irq_entries:
	.set n, 0
	.rept IRQ_COUNT
	.balign IRQ_ENTRY_SIZE
	pushq %rdi
	movl $n, %edi
	jmp irq_common
	.set n, n + 1
	.endr

irq_common:
	cld
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %rbp
	movq %rsp, %rbp
	andq $-16, %rsp
	call irq_dispatch
	movq %rbp, %rsp
	popq %rbp
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rax
	popq %rdi
	iretq

	.section .note.GNU-stack, "", @progbits
