// SPDX-License-Identifier: MIT
// Entry of every tiny guest: Multiboot 1, page tables, long mode; and the way there of the other CPUs.
#include "layout.h"

#define MB_MAGIC 0x1BADB002
#define MB_FLAGS 3 // aligned modules, memory information

#define CR0_BOOT 0x80010033 // PG WP NE ET MP PE
#define CR4_BOOT 0x620	    // OSXMMEXCPT OSFXSR PAE

	.section .multiboot, "a"
	.align	4
	.long	MB_MAGIC, MB_FLAGS, -(MB_MAGIC + MB_FLAGS)

	.text
	.code32
	.global	boot_entry
boot_entry:
	cli
	cld
	mov	$stacks + STACK_SIZE, %esp
	mov	%eax, boot_magic
	mov	%ebx, boot_info

	// The low 4 GiB identity mapped by 2 MiB pages for ring 0, uncached from 3 GiB on.
	movl	$boot_pdpt + 7, boot_pml4
	mov	$boot_pds + 7, %eax
	mov	$boot_pdpt, %edi
	mov	$4, %ecx
1:	mov	%eax, (%edi)
	add	$4096, %eax
	add	$8, %edi
	loop	1b
	mov	$0x83, %eax
	mov	$boot_pds, %edi
	mov	$1536, %ecx
2:	mov	%eax, (%edi)
	add	$0x200000, %eax
	add	$8, %edi
	loop	2b
	or	$0x18, %eax
	mov	$512, %ecx
3:	mov	%eax, (%edi)
	add	$0x200000, %eax
	add	$8, %edi
	loop	3b

	mov	$boot_main, %ebx
	jmp	long_mode

// ebx: where to go on in 64-bit code, esp: the stack.
long_mode:
	mov	$CR4_BOOT, %eax
	mov	%eax, %cr4
	mov	$boot_pml4, %eax
	mov	%eax, %cr3
	mov	$0xC0000080, %ecx
	xor	%edx, %edx
	mov	$0x100, %eax
	wrmsr
	mov	$CR0_BOOT, %eax
	mov	%eax, %cr0
	lgdt	boot_gdt_ptr
	ljmp	$SEL_CODE64, $1f
	.code64
1:	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	mov	%esp, %esp
	mov	%ebx, %ebx
	xor	%ebp, %ebp
	call	*%rbx
2:	cli
	hlt
	jmp	2b

// Copied to TRAMPOLINE; a STARTUP IPI sends the other CPUs there, in real mode.
	.code16
	.global	trampoline, trampoline_end
trampoline:
	cli
	cld
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	trampoline_gdt - trampoline
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmpl	$SEL_CODE32, $ap_entry
trampoline_gdt:
	.word	SEL_TSS - 1
	.long	boot_gdt
trampoline_end:

	.code32
ap_entry:
	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$1, %eax
	cpuid
	shr	$24, %ebx
	movzbl	cpu_of_apic(%ebx), %eax
	cmp	$MAX_CPUS, %eax
	jae	2f
	shl	$STACK_SHIFT, %eax
	lea	stacks + STACK_SIZE(%eax), %esp
	mov	$ap_main, %ebx
	jmp	long_mode
2:	cli
	hlt
	jmp	2b

	.data
	.align	16
	.global	boot_gdt
boot_gdt:
	.quad	0
	.quad	0x00AF9B000000FFFF // SEL_CODE64
	.quad	0x00CF93000000FFFF // SEL_DATA
	.quad	0x00CF9B000000FFFF // SEL_CODE32
	.quad	0x00009B000000FFFF // SEL_CODE16
	.quad	0x000093000000FFFF // SEL_DATA16
	.fill	4, 8, 0 // SEL_FREE
	.quad	0x00AFFB000000FFFF // SEL_USER_CODE
	.quad	0x00CFF3000000FFFF // SEL_USER_DATA
	.fill	2 * MAX_CPUS, 8, 0
boot_gdt_end:
	.global	boot_gdt_ptr
boot_gdt_ptr:
	.word	boot_gdt_end - boot_gdt - 1
	.quad	boot_gdt

	.bss
	.align	4096
	.global	boot_pml4, boot_pdpt, boot_pds, boot_magic, boot_info
boot_pml4:
	.skip	4096
boot_pdpt:
	.skip	4096
boot_pds:
	.skip	4 * 4096
boot_magic:
	.skip	4
boot_info:
	.skip	4
	.balign	STACK_SIZE
	.global	stacks
stacks:
	.skip	MAX_CPUS * STACK_SIZE
	.section .note.GNU-stack, "", @progbits
