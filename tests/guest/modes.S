// SPDX-License-Identifier: MIT
// A trip through the processor's modes; in each: CPUID, a port, and MMIO. Results go to modes_seen.
#include "layout.h"
#include "modes.h"

#define MMIO 0xFEE00030 // local APIC version
#define PORT 0x3FD	 // line status of COM1

	.macro	PROBE n
	xor	%eax, %eax
	cpuid
	mov	%ebx, modes_seen + 16 * \n
	mov	$PORT, %edx
	xor	%eax, %eax
	in	(%dx), %al
	mov	%eax, modes_seen + 16 * \n + 4
	mov	$MMIO, %edi
	mov	(%edi), %eax
	mov	%eax, modes_seen + 16 * \n + 8
	incl	modes_seen + 16 * \n + 12
	.endm

	.macro	PAGING_OFF
	mov	%cr0, %eax
	and	$0x7FFFFFFF, %eax
	mov	%eax, %cr0
	.endm

	.macro	PAGING_ON
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	.endm

	.text
	.code64
	.global	modes_trip
modes_trip:
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, stack
	mov	%cr4, %rax
	mov	%eax, cr4
	PROBE	MODE_LONG
	ljmp	*compat_pointer

	.code32
compat:
	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	PROBE	MODE_COMPAT
	PAGING_OFF
	mov	$0xC0000080, %ecx
	rdmsr
	and	$~0x100, %eax
	wrmsr
	PROBE	MODE_PROTECTED

	mov	$0x10, %eax // PSE
	mov	%eax, %cr4
	mov	$modes_pd32, %eax
	mov	%eax, %cr3
	PAGING_ON
	PROBE	MODE_PAGING32
	PAGING_OFF

	mov	$0x20, %eax // PAE
	mov	%eax, %cr4
	mov	$modes_pdpt, %eax
	mov	%eax, %cr3
	PAGING_ON
	PROBE	MODE_PAE
	PAGING_OFF

	// A data segment whose base is not 0 (SEL_FREE: the APIC's page).
	mov	$SEL_FREE, %eax
	mov	%eax, %gs
	xor	%eax, %eax
	cpuid
	mov	%ebx, modes_seen + 16 * MODE_SEGMENT
	mov	$PORT, %edx
	xor	%eax, %eax
	in	(%dx), %al
	mov	%eax, modes_seen + 16 * MODE_SEGMENT + 4
	mov	%gs:0x30, %eax
	mov	%eax, modes_seen + 16 * MODE_SEGMENT + 8
	incl	modes_seen + 16 * MODE_SEGMENT + 12
	ljmp	$SEL_CODE16, $MODES_REAL_AT

back:
	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	PROBE	MODE_BACK
	mov	cr4, %eax
	mov	%eax, %cr4
	mov	$boot_pml4, %eax
	mov	%eax, %cr3
	mov	$0xC0000080, %ecx
	rdmsr
	or	$0x100, %eax
	wrmsr
	PAGING_ON
	ljmp	$SEL_CODE64, $1f
	.code64
1:	mov	stack, %rsp
	PROBE	MODE_LONG2
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret

// Copied to MODES_REAL_AT. Entered in 16-bit protected mode with flat data segments.
	.code16
	.global	modes_real, modes_real_end
modes_real:
	mov	%cr0, %eax
	and	$~1, %al
	mov	%eax, %cr0
	ljmp	$(MODES_REAL_AT >> 4), $(1f - modes_real)
1:	// Real mode; DS, ES and SS keep base 0 and a limit of 4 GiB until they are loaded.
	xor	%eax, %eax
	mov	%ax, %ss
	mov	$MODES_REAL_AT, %esp
	cpuid
	mov	$modes_seen + 16 * MODE_REAL, %esi
	mov	%ebx, (%esi)
	mov	$PORT, %dx
	xor	%eax, %eax
	in	(%dx), %al
	mov	%eax, 4(%esi)
	mov	$MMIO, %edi
	mov	(%edi), %eax
	mov	%eax, 8(%esi)
	incl	12(%esi)

	// An interrupt by the real-mode vector table, with data segments of real mode.
	mov	%cs, %ax
	mov	%ax, %ds
	mov	%ax, %es
	lidt	ivt - modes_real
	xor	%cx, %cx
	mov	%cx, %fs
	movw	$(handler - modes_real), %fs:4 * 0x40
	mov	%cs, %fs:4 * 0x40 + 2
	int	$0x40
	cmp	$0x4040, %cx
	jne	2f
	xor	%eax, %eax
	cpuid
	mov	%ebx, %ebp
	mov	$PORT, %dx
	xor	%eax, %eax
	in	(%dx), %al
	mov	%eax, %ecx
	mov	$0xFFFF, %ax // FFFF:0010 is RAM at 1 MiB
	mov	%ax, %es
	movw	%es:0x10, %ax
	mov	%ax, seen_high - modes_real
	mov	%ebp, seen_ebx - modes_real
	mov	%ecx, seen_port - modes_real
2:	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmpl	$SEL_CODE32, $back
handler:
	mov	$0x4040, %cx
	iret
ivt:
	.word	0x3FF
	.long	0
	.align	4
seen_ebx:
	.long	0
seen_port:
	.long	0
seen_high:
	.long	0
modes_real_end:
	.global	modes_real_seen
	.set	modes_real_seen, seen_ebx - modes_real + MODES_REAL_AT

	.data
	.align	16
compat_pointer:
	.long	compat
	.word	SEL_CODE32
	.bss
	.align	16
stack:
	.skip	8
cr4:
	.skip	8
	.section .note.GNU-stack, "", @progbits
