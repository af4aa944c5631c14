// SPDX-License-Identifier: MIT
// The first instructions of every CPU but the first: a page that is copied below 1 MiB, entered in
// real mode with CS pointing at it. Addresses are relative to CS or found through EBX; the page
// itself is only read.
#define OFFSET(x) ((x) - trampoline_start)

	.section .rodata.trampoline, "a"
	.balign 16
	.globl trampoline_start, trampoline_end, trampoline_root, trampoline_page
	.code16
trampoline_start:
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	movzwl %ax, %ebx
	shll $4, %ebx                   // where the page is
	lgdtl OFFSET(pointer)
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmpl *OFFSET(to_protected)

	.code32
protected:
	movl $16, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl $0x20, %eax                // CR4.PAE
	movl %eax, %cr4
	movl OFFSET(trampoline_root)(%ebx), %eax
	movl %eax, %cr3
	movl $0xC0000080, %ecx          // EFER: LME, and NXE for our tables
	rdmsr
	orl OFFSET(trampoline_efer)(%ebx), %eax
	wrmsr
	movl $0x80010033, %eax          // PG, WP, NE, ET, MP, PE
	movl %eax, %cr0
	ljmpl *OFFSET(to_long)(%ebx)

	.code64
long_mode:
	movabsq $ap_entry, %rax
	jmp *%rax

	.balign 8
gdt:	.quad 0
	.quad 0x00AF9B000000FFFF        // 8: code, 64-bit
	.quad 0x00CF93000000FFFF        // 16: data
	.quad 0x00CF9B000000FFFF        // 24: code, 32-bit
	// What depends on the page's place is filled in by the copier.
	.globl trampoline_pointer, trampoline_to_protected, trampoline_to_long, trampoline_efer
pointer:
	.short pointer - gdt - 1
trampoline_pointer:
	.long OFFSET(gdt)
	.balign 4
to_protected:
trampoline_to_protected:
	.long OFFSET(protected)
	.short 24
	.balign 4
to_long:
trampoline_to_long:
	.long OFFSET(long_mode)
	.short 8
	.balign 4
trampoline_root:
	.long 0
trampoline_efer:
	.long 0x100
trampoline_end:

	.text
	.code64
ap_entry:
	movl $16, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movq smp_root, %rax             // the kernel's tables, without the low page
	movq %rax, %cr3
	movq smp_stack, %rsp
	movq smp_pcpu, %rdi
	xorl %ebp, %ebp
	pushq $0
	pushq $0
	call smp_main
	ud2
	.section .note.GNU-stack, "", @progbits
