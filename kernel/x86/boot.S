// SPDX-License-Identifier: MIT
// The image's first instructions: from a boot loader's 32-bit protected mode to kernel_main in
// 64-bit mode.
//
// Two boot loaders' protocols lead here: Multiboot2 (GRUB; eax holds its magic number, ebx its
// information) and PVH (qemu -kernel; ebx holds struct hvm_start_info). Both leave flat segments,
// paging off, interrupts off. The page tables made here serve until paging_init(): the first GiB at
// 0, at DIRECT_MAP and at KERNEL_BASE, all by the same tables. boot_reach() reads what lies beyond.

#define KERNEL_BASE 0xFFFFFFFF80000000
#define PHYS(x)     ((x) - KERNEL_BASE)

#define BOOT_MULTIBOOT2 1
#define BOOT_PVH        2

	.section .boot.header, "ax"
	.balign 8
header:
	.long 0xE85250D6, 0, header_end - header
	.long -(0xE85250D6 + 0 + (header_end - header))
	.balign 8
	.short 4, 1                     // console: a text screen will do
	.long 12, 2
	.balign 8
	.short 5, 1                     // framebuffer, if there is no text screen: any size
	.long 20, 0, 0, 0
	.balign 8
	.short 6, 1                     // modules on page boundaries
	.long 8
	.balign 8
	.short 0, 0
	.long 8
header_end:

	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 8, 18                  // XEN_ELFNOTE_PHYS32_ENTRY
	.asciz "Xen"
	.quad PHYS(entry_pvh)

	.section .boot.text, "ax"
	.code32
	.globl entry_multiboot2, entry_pvh
entry_multiboot2:
	movl $BOOT_MULTIBOOT2, %ebp
	cmpl $0x36D76289, %eax
	je 1f
	jmp stop
entry_pvh:
	movl $BOOT_PVH, %ebp
1:	cli
	cld
	movl %ebx, %esi

	movl $PHYS(bss_start), %edi
	movl $PHYS(image_end), %ecx
	subl %edi, %ecx
	shrl $2, %ecx
	xorl %eax, %eax
	rep stosl

	movl $0x80000000, %eax
	cpuid
	cmpl $0x80000001, %eax
	jb stop
	movl $0x80000001, %eax
	cpuid
	btl $29, %edx                   // long mode
	jnc stop

	movl $PHYS(boot_pml4), %edi
	movl $PHYS(boot_pdpt) + 3, (%edi)
	movl $PHYS(boot_pdpt) + 3, 256 * 8(%edi)
	movl $PHYS(boot_pdpt) + 3, 511 * 8(%edi)
	movl $PHYS(boot_pd) + 3, PHYS(boot_pdpt)
	movl $PHYS(boot_pd) + 3, PHYS(boot_pdpt) + 510 * 8
	movl $0x83, %eax                // present, writable, 2 MiB
	movl $PHYS(boot_pd), %edi
	movl $512, %ecx
2:	movl %eax, (%edi)
	addl $8, %edi
	addl $0x200000, %eax
	loop 2b

	movl $0x20, %eax                // CR4.PAE
	movl %eax, %cr4
	movl $PHYS(boot_pml4), %eax
	movl %eax, %cr3
	movl $0xC0000080, %ecx          // EFER.LME
	rdmsr
	btsl $8, %eax
	wrmsr
	movl $0x80010033, %eax          // PG, WP, NE, ET, MP, PE
	movl %eax, %cr0
	lgdt PHYS(gdt_pointer)
	ljmp $8, $PHYS(entry64)

stop:	movl $0xB8000, %edi             // "no": unknown protocol, or no 64-bit processor
	movl $0x4F6F4F6E, (%edi)
	hlt
	jmp stop

	.code64
entry64:
	movabsq $kernel_start, %rax
	jmp *%rax

	.balign 8
gdt:	.quad 0
	.quad 0x00AF9B000000FFFF        // code, 64-bit
	.quad 0x00CF93000000FFFF        // data
gdt_pointer:
	.short . - gdt - 1
	.long PHYS(gdt)

	.text
	.globl kernel_start
kernel_start:
	movl $16, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movq $boot_stack_top, %rsp
	// The stack protector's canary, before the first C function: the time, spread; and a random
	// number if there is one.
	rdtsc
	shlq $32, %rdx
	orq %rdx, %rax
	movabsq $0x9E3779B97F4A7C15, %rdx
	mulq %rdx
	xorq %rdx, %rax
	movq %rax, %r8
	movl $1, %eax
	cpuid
	btl $30, %ecx
	jnc 1f
	rdrand %rax
	xorq %rax, %r8
1:	movb $0, %r8b                   // a string cannot run over it unnoticed
	movq %r8, __stack_chk_guard
	movl %ebp, %edi
	xorl %ebp, %ebp
	pushq $0                        // the end of every backtrace
	pushq $0
	call kernel_main
	ud2

	.section .boot.bss, "aw", @nobits
	.balign 4096
boot_pml4:  .skip 4096
boot_pdpt:  .skip 4096
	.globl boot_pd, boot_stack, boot_stack_top
boot_pd:    .skip 4096
boot_stack: .skip 3072                  // less than 1 KiB of it is used; the page's rest is the early log's (log.c)
boot_stack_top:
	.section .note.GNU-stack, "", @progbits
