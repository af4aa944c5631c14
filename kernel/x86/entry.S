// SPDX-License-Identifier: MIT
// Where exceptions and interrupts enter the kernel. All come from the kernel itself (guests leave
// by VMRUN), so GS holds already and the stack is good, or is one of the IST's.
#include "kernel/x86/interrupt_call.inc"

#define VECTOR_TIMER  0xF0
#define VECTOR_KICK   0xF1
#define VECTOR_SERIAL 0xF2

	.text

// Exceptions: all registers are kept for the report.
	.macro exception vector, has_error
	.balign 16
	.if !\has_error
	pushq $0
	.endif
	pushq $\vector
	jmp exception_common
	.endm

	.globl exception_entries
	.balign 16
exception_entries:
	.set n, 0
	.rept 32
	.if (0x60227D00 >> n) & 1       // those that push an error code
	exception n, 1
	.else
	exception n, 0
	.endif
	.set n, n + 1
	.endr

exception_common:
	cld
	pushq %rax
	pushq %rbx
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %rbp
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, %rdi
	call trap_exception
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rbp
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rbx
	popq %rax
	addq $16, %rsp
	iretq

	.macro interrupt name, vector
	.globl \name
	.balign 16
\name:	pushq %rdi
	movl $\vector, %edi
	jmp interrupt_common
	.endm

	interrupt interrupt_timer, VECTOR_TIMER
	interrupt interrupt_kick, VECTOR_KICK
	interrupt interrupt_serial, VECTOR_SERIAL
	interrupt interrupt_other, 0

interrupt_common:
	interrupt_call trap_interrupt

// The local APIC's spurious interrupt wants no end-of-interrupt.
	.globl interrupt_spurious
	.balign 16
interrupt_spurious:
	iretq

// bool msr_read_safe(u32 msr, u64 *v): a #GP goes on at the fixup.
	.globl msr_read_safe
msr_read_safe:
	movl %edi, %ecx
1:	rdmsr
	shlq $32, %rdx
	orq %rdx, %rax
	movq %rax, (%rsi)
	movl $1, %eax
	ret
2:	xorl %eax, %eax
	ret
	.section .fixup, "a"
	.quad 1b, 2b
	.text

// bool msr_write_safe(u32 msr, u64 v)
	.globl msr_write_safe
msr_write_safe:
	movl %edi, %ecx
	movl %esi, %eax
	movq %rsi, %rdx
	shrq $32, %rdx
1:	wrmsr
	movl $1, %eax
	ret
2:	xorl %eax, %eax
	ret
	.section .fixup, "a"
	.quad 1b, 2b
	.text

// _Noreturn void stack_switch(u64 top, void (*fn)(void *), void *arg)
	.globl stack_switch
stack_switch:
	movq %rdi, %rsp
	xorl %ebp, %ebp
	pushq $0
	pushq $0
	movq %rdx, %rdi
	call *%rsi
	ud2

	.section .note.GNU-stack, "", @progbits
