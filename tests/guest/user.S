// SPDX-License-Identifier: MIT
// Ring 3: the way there, and texts of which each must fault at its marked instruction, or reach its end.
#include "layout.h"

	.code64

	// void user_enter(const struct user_call *c): by IRETQ; a fault is the only way back (try_call).
	.text
	.global	user_enter
user_enter:
	mov	16(%rdi), %rsi
	push	$SEL_USER_DATA
	push	24(%rdi)
	push	32(%rdi)
	push	$SEL_USER_CODE
	push	(%rdi)
	mov	8(%rdi), %rdi
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	iretq

	// A row: what it is, code, where it faults, the vector. #UD (6) at the UD2 behind it: it is allowed.
	.macro	USER name, vector, before, code
	.pushsection .rodata.texts, "a", @progbits
7:	\before
8:	\code
	.if	\vector == 6
8:
	.endif
	ud2
	.popsection
	.pushsection .rodata.names, "a", @progbits
9:	.asciz	"\name"
	.popsection
	.quad	9b, 7b, 8b, \vector
	.endm

	.section .rodata.rows, "a", @progbits
	.balign	8
	.global	user_rows, user_rows_end
user_rows:
	USER	"CPUID", 6, "xor %eax, %eax", "cpuid"
	USER	"RDTSC", 6, "nop", "rdtsc"
	USER	"OUT to the exit port", 13, "mov $0xF4, %edx", "out %eax, (%dx)"
	USER	"OUT to the UART", 13, "mov $0x3F8, %edx", "out %al, (%dx)"
	USER	"IN", 13, "mov $0x3FD, %edx", "in (%dx), %al"
	USER	"INS", 13, "mov $0x3FF, %edx", "insb"
	USER	"OUTS", 13, "mov $0x3FF, %edx; mov $2, %ecx", "rep outsb"
	USER	"RDMSR", 13, "mov $0xC0000080, %ecx", "rdmsr"
	USER	"RDMSR of the APIC base", 13, "mov $0x1B, %ecx", "rdmsr"
	USER	"WRMSR", 13, "mov $0x1B, %ecx", "wrmsr"
	USER	"WRMSR of kvm-clock", 13, "mov $0x4b564d01, %ecx", "wrmsr"
	USER	"HLT", 13, "nop", "hlt"
	USER	"CLI", 13, "nop", "cli"
	USER	"STI", 13, "nop", "sti"
	USER	"MOV to CR0", 13, "nop", "mov %rax, %cr0"
	USER	"MOV from CR0", 13, "nop", "mov %cr0, %rax"
	USER	"MOV to CR3", 13, "nop", "mov %rax, %cr3"
	USER	"MOV from CR3", 13, "nop", "mov %cr3, %rax"
	USER	"MOV to CR4", 13, "nop", "mov %rax, %cr4"
	USER	"MOV to CR8", 13, "nop", "mov %rax, %cr8"
	USER	"MOV to DR7", 13, "nop", "mov %rax, %dr7"
	USER	"CLTS", 13, "nop", "clts"
	USER	"LMSW", 13, "nop", "lmsw %ax"
	USER	"LGDT", 13, "nop", "lgdt (%rsp)"
	USER	"LIDT", 13, "nop", "lidt (%rsp)"
	USER	"LTR", 13, "nop", "ltr %ax"
	USER	"LLDT", 13, "nop", "lldt %ax"
	USER	"INVLPG", 13, "nop", "invlpg (%rsp)"
	USER	"INVD", 13, "nop", "invd"
	USER	"WBINVD", 13, "nop", "wbinvd"
	USER	"SWAPGS", 13, "nop", "swapgs"
	USER	"INT of a gate of ring 0", 13, "nop", "int $0x41"
user_rows_end:
	.section .note.GNU-stack, "", @progbits
