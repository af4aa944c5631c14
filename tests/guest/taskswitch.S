// SPDX-License-Identifier: MIT
// Hardware task switches in 32-bit protected mode: to another task and back, with exits while TR is busy.
#include "layout.h"
#include "taskswitch.h"

	.text
	.code64
	.global	tasks_run // void tasks_run(u32 rounds)
tasks_run:
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, stack
	mov	%edi, left
	mov	%cr4, %rax
	mov	%eax, cr4
	ljmp	*down

	.code32
go_down:
	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$TASKS_STACK, %esp
	mov	%cr0, %eax
	and	$0x7FFFFFFF, %eax
	mov	%eax, %cr0
	mov	$0xC0000080, %ecx
	rdmsr
	and	$~0x100, %eax
	wrmsr
	xor	%eax, %eax
	lldt	%ax
	mov	$TASK_MAIN, %eax
	ltr	%ax // its descriptor is busy from now on
1:	ljmp	$TASK_OTHER, $0
	// The other task jumps back to here; CPUID, a port and MMIO exit with a busy TR.
	xor	%eax, %eax
	cpuid
	mov	$0x3FD, %edx
	in	(%dx), %al
	mov	0xFEE00030, %eax
	incl	tasks_main
	lcall	$TASK_NESTED, $0 // and a task that returns by IRET
	decl	left
	jnz	1b

	mov	cr4, %eax
	mov	%eax, %cr4
	mov	$boot_pml4, %eax
	mov	%eax, %cr3
	mov	$0xC0000080, %ecx
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80000000, %eax
	and	$~8, %eax // a task switch sets TS
	mov	%eax, %cr0
	ljmp	$SEL_CODE64, $2f
	.code64
2:	mov	stack, %rsp
	pushfq
	andl	$~0x4000, (%rsp) // NT
	popfq
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret

	.code32
	.global	task_other, task_nested
task_other:
	xor	%eax, %eax
	cpuid
	mov	$0x3FD, %edx
	in	(%dx), %al
	mov	0xFEE00030, %eax
	mov	$0x1B, %ecx
	rdmsr
	incl	tasks_other
	ljmp	$TASK_MAIN, $0
	jmp	task_other

task_nested:
	xor	%eax, %eax
	cpuid
	mov	0xFEE00030, %eax
	incl	tasks_nested
	iret
	jmp	task_nested

	.data
	.balign	16
down:
	.long	go_down
	.word	SEL_CODE32
	.bss
	.balign	16
stack:
	.skip	8
left:
	.skip	4
cr4:
	.skip	4
	.section .note.GNU-stack, "", @progbits
