// SPDX-License-Identifier: MIT
// Firmware that is a guest's own: two vcpus select and read fw_cfg's items and send commands to the flash chip, in the same moments, and one
// of them resets the machine in between, RESETS times; then it powers off. 64 KiB that end at 4 GiB, the first 16 of them the chip.
#define CHIP   0xffff0000
#define PLACE  0x8000 // of what a second vcpu starts with: its code is below 1 MiB
#define CMOS   0x40
#define RESETS 12
#define ROUNDS 60

	.text
base:
	.org 0x8000
	.code16
reset:
	cli
	xorl %ebx, %ebx
	lgdtl %cs:(table - base)
enter_32:
	movl %cr0, %eax
	orl $1, %eax
	movl %eax, %cr0
	ljmpl $8, $main

	// A second vcpu, at PLACE.
second:
	cli
	movl $1, %ebx
	lgdtl %cs:(second_table - second)
	movl %cr0, %eax
	orl $1, %eax
	movl %eax, %cr0
	ljmpl $8, $main
second_table:
	.word 23
	.long gdt
second_end:

	.code32
main:
	movw $16, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl %ebx, %esp
	shll $12, %esp
	addl $0x90000, %esp
	xorl %ebp, %ebp
	testl %ebx, %ebx
	jnz hammer
	movb $CMOS, %al // how often it was reset
	outb %al, $0x70
	inb $0x71, %al
	cmpb $RESETS, %al
	jae off
	incb %al
	outb %al, $0x71
	movl $second, %esi
	movl $PLACE, %edi
	movl $(second_end - second), %ecx
	rep movsb
	movl $0x1ff, 0xfee000f0
	movl $0xc4500, 0xfee00300 // INIT, then SIPI, to all others
	movl $(0xc4600 | PLACE >> 12), 0xfee00300

hammer:
	incl %ebp
	movw $0x510, %dx
	movl %ebp, %eax
	andw $0x3f, %ax
	testb $0x40, %al
	jz 1f
	orw $0x8000, %ax
1:	outw %ax, %dx
	incw %dx
	movl %ebx, %edi
	shll $16, %edi
	addl $0x200000, %edi
	movl $100, %ecx
	rep insb
	inb %dx, %al
	inl %dx, %eax

	imull $2654435761, %ebp, %edi // some place in the chip
	shrl $18, %edi
	addl $CHIP, %edi
	movb $0x40, (%edi) // program
	movl %ebp, (%edi)
	movb $0x70, (%edi) // status: reads exit
	movl (%edi), %eax
	movl %edi, %esi
	pushl %edi
	movl $0x300000, %edi
	movl $50, %ecx
	rep movsb
	popl %edi
	movb $0x98, (%edi) // query
	movl (%edi), %eax
	movb $0xe8, (%edi) // buffered, with one byte less than was said
	movb $3, (%edi)
	movw $0x5aa5, (%edi)
	movb $0xd0, (%edi)
	movl $0xffffffff, (%edi)
	movb $0x20, (%edi) // erase, sometimes the headers
	movb $0xd0, (%edi)
	movb $0xff, (%edi)
	movl (%edi), %eax
	testl %ebx, %ebx
	jnz hammer
	cmpl $ROUNDS, %ebp
	jb hammer
	movw $0xcf9, %dx
	movb $6, %al
	outb %al, %dx
	jmp hammer

off:
	movw $0x604, %dx
	movw $(1 << 13 | 5 << 10), %ax
	outw %ax, %dx
	hlt

	.balign 8
gdt:
	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
table:
	.word 23
	.long gdt

	.org 0xfff0
	.code16
	jmp reset
	.org 0x10000
