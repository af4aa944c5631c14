// SPDX-License-Identifier: MIT
// Instruction forms that access memory, in a table (forms.h), and the way to run one.

	.code64

	// A row of the table: code, name, width, writes; the code itself goes to .text.
	.macro	FORM name, width, writes, code
	.pushsection .text.forms, "ax", @progbits
8:	\code
	ret
	.popsection
	.pushsection .rodata.names, "a", @progbits
9:	.asciz	"\name"
	.popsection
	.quad	8b, 9b
	.byte	\width, \writes
	.balign	8
	.endm

	.section .rodata.forms, "a", @progbits
	.balign	8
	.global	forms_exact, forms_odd, forms_end
forms_exact: // must do at device memory what they do in RAM
	FORM	load8, 1, 0, "movb (%rdi), %al"
	FORM	load8_high, 1, 0, "movb (%rdi), %ah"
	FORM	load16, 2, 0, "movw (%rdi), %ax"
	FORM	load32, 4, 0, "movl (%rdi), %eax"
	FORM	load64, 8, 0, "movq (%rdi), %rax"
	FORM	movzx8, 1, 0, "movzbl (%rdi), %eax"
	FORM	movzx8_16, 1, 0, "movzbw (%rdi), %ax"
	FORM	movzx16, 2, 0, "movzwl (%rdi), %eax"
	FORM	movsx8, 1, 0, "movsbq (%rdi), %rax"
	FORM	movsx16, 2, 0, "movswq (%rdi), %rax"
	FORM	movsx16_32, 2, 0, "movswl (%rdi), %eax"
	FORM	movsxd, 4, 0, "movslq (%rdi), %rax"
	FORM	store8, 1, 1, "movb %cl, (%rdi)"
	FORM	store8_high, 1, 1, "movb %ch, (%rdi)"
	FORM	store16, 2, 1, "movw %cx, (%rdi)"
	FORM	store32, 4, 1, "movl %ecx, (%rdi)"
	FORM	store64, 8, 1, "movq %rcx, (%rdi)"
	FORM	storei8, 1, 1, "movb $0x5A, (%rdi)"
	FORM	storei16, 2, 1, "movw $0x1234, (%rdi)"
	FORM	storei32, 4, 1, "movl $0x12345678, (%rdi)"
	FORM	storei64, 8, 1, "movq $-2, (%rdi)"
	FORM	movnti, 4, 1, "movnti %ecx, (%rdi)"
	FORM	based, 4, 0, "movl 0x1000(%rbx), %eax"
	FORM	indexed, 4, 0, "mov $0x400, %edx; movl (%rbx,%rdx,4), %eax"
	FORM	no_base, 4, 0, "movl 0(,%rdi,1), %eax"
	FORM	addr32, 4, 0, "movl (%edi), %eax"
	FORM	high_regs, 4, 0, "mov %rdi, %r13; movl (%r13), %r9d; mov %r9d, %eax"
	FORM	high_regs2, 4, 1, "mov %rdi, %r12; mov %ecx, %r10d; movl %r10d, (%r12)"
	FORM	high_index, 4, 0, "mov $0x800, %r8d; movl (%rbx,%r8,2), %eax"
	FORM	add_load, 4, 0, "addl (%rdi), %eax"
	FORM	adc_load, 4, 0, "adcl (%rdi), %eax"
	FORM	sub_load, 4, 0, "subl (%rdi), %eax"
	FORM	sbb_load, 4, 0, "sbbl (%rdi), %eax"
	FORM	and_load, 4, 0, "andl (%rdi), %eax"
	FORM	or_load, 4, 0, "orl (%rdi), %eax"
	FORM	xor_load, 4, 0, "xorl (%rdi), %eax"
	FORM	cmp_load, 4, 0, "cmpl (%rdi), %eax"
	FORM	cmp_store, 4, 0, "cmpl %eax, (%rdi)"
	FORM	cmp_imm, 4, 0, "cmpl $0x1234, (%rdi)"
	FORM	cmp_imm8, 1, 0, "cmpb $0x12, (%rdi)"
	FORM	test_reg, 4, 0, "testl %eax, (%rdi)"
	FORM	test_imm, 4, 0, "testl $0x80001, (%rdi)"
	FORM	test_imm8, 1, 0, "testb $0x21, (%rdi)"
	FORM	add8, 1, 1, "addb %cl, (%rdi)"
	FORM	add32, 4, 1, "addl %ecx, (%rdi)"
	FORM	add_imm8, 4, 1, "addl $-5, (%rdi)"
	FORM	add_imm32, 4, 1, "addl $0x1234567, (%rdi)"
	FORM	adc32, 4, 1, "adcl %ecx, (%rdi)"
	FORM	sub32, 4, 1, "subl %ecx, (%rdi)"
	FORM	sbb32, 4, 1, "sbbl %ecx, (%rdi)"
	FORM	and32, 4, 1, "andl %ecx, (%rdi)"
	FORM	and_imm8, 1, 1, "andb $0xF0, (%rdi)"
	FORM	or32, 4, 1, "orl %ecx, (%rdi)"
	FORM	or8, 1, 1, "orb $0x81, (%rdi)"
	FORM	xor32, 4, 1, "xorl %ecx, (%rdi)"
	FORM	xor16, 2, 1, "xorw %cx, (%rdi)"
	FORM	add64, 8, 1, "addq %rcx, (%rdi)"
	FORM	lock_add, 4, 1, "lock addl %ecx, (%rdi)"
	FORM	lock_or, 4, 1, "lock orl $1, (%rdi)"
	FORM	inc32, 4, 1, "incl (%rdi)"
	FORM	dec32, 4, 1, "decl (%rdi)"
	FORM	inc8, 1, 1, "incb (%rdi)"
	FORM	lock_inc, 4, 1, "lock incl (%rdi)"
	FORM	neg32, 4, 1, "negl (%rdi)"
	FORM	not32, 4, 1, "notl (%rdi)"
	FORM	xchg8, 1, 1, "xchgb %cl, (%rdi)"
	FORM	xchg32, 4, 1, "xchgl %ecx, (%rdi)"
	FORM	xchg64, 8, 1, "xchgq %rcx, (%rdi)"
	FORM	xadd32, 4, 1, "xaddl %ecx, (%rdi)"
	FORM	lock_xadd, 4, 1, "lock xaddl %ecx, (%rdi)"
	FORM	cmpxchg, 4, 1, "cmpxchgl %ecx, (%rdi)"
	FORM	cmpxchg_eq, 4, 1, "movl (%rdi), %eax; lock cmpxchgl %ecx, (%rdi)"
	FORM	bt_imm, 4, 0, "btl $5, (%rdi)"
	FORM	bts_imm, 4, 1, "btsl $7, (%rdi)"
	FORM	btr_imm, 4, 1, "lock btrl $3, (%rdi)"
	FORM	btc_imm, 4, 1, "btcl $31, (%rdi)"
	FORM	bts_reg, 4, 1, "and $31, %ecx; btsl %ecx, (%rdi)"
	FORM	push, 8, 0, "push (%rdi); pop %rax"
	FORM	pop, 8, 1, "push %rcx; pop (%rdi)"
	FORM	lods8, 1, 0, "mov %rdi, %rsi; lodsb; sub %r14, %rsi; add %r15, %rsi"
	FORM	lods32, 4, 0, "mov %rdi, %rsi; lodsl; sub %r14, %rsi; add %r15, %rsi"
	FORM	lods_down, 4, 0, "mov %rdi, %rsi; std; lodsl; cld; sub %r14, %rsi; add %r15, %rsi"
	FORM	stos8, 1, 1, "stosb"
	FORM	stos32, 4, 1, "stosl"
	FORM	rep_stos32, 4, 1, "mov $1, %ecx; rep stosl"
	FORM	stos_down, 4, 1, "std; stosl; cld"
	FORM	movs_in8, 1, 1, "movsb"
	FORM	movs_in32, 4, 1, "movsl"
	FORM	movs_in64, 8, 1, "movsq"
	FORM	movs_out32, 4, 0, "xchg %rsi, %rdi; movsl; xchg %rsi, %rdi"
	FORM	movs_out64, 8, 0, "xchg %rsi, %rdi; movsq; xchg %rsi, %rdi"
	FORM	rep_movs_in, 4, 1, "mov $1, %ecx; rep movsl"
	FORM	rep_movs_out, 4, 0, "xchg %rsi, %rdi; mov $1, %ecx; rep movsl; xchg %rsi, %rdi"
	FORM	rep_movs_none, 4, 0, "xor %ecx, %ecx; rep movsl"
	FORM	scas32, 4, 0, "scasl"
	FORM	cmps32, 4, 0, "cmpsl"
forms_odd: // must be survived there; shifts, products and vector moves need not work
	FORM	shl_imm, 4, 1, "shll $3, (%rdi)"
	FORM	shr_one, 4, 1, "shrl $1, (%rdi)"
	FORM	sar_one, 4, 1, "sarl $1, (%rdi)"
	FORM	rol_cl, 4, 1, "and $0xFF, %ecx; roll %cl, (%rdi)"
	FORM	setc, 1, 1, "setc (%rdi)"
	FORM	cmov, 4, 0, "cmovcl (%rdi), %eax"
	FORM	mul32, 4, 0, "mull (%rdi)"
	FORM	imul32, 4, 0, "imull (%rdi), %eax"
	FORM	imul_imm, 4, 0, "imull $77, (%rdi), %eax"
	FORM	movd_load, 4, 0, "movd (%rdi), %xmm0; movq %xmm0, %rax"
	FORM	movd_store, 4, 1, "movq %rcx, %xmm1; movd %xmm1, (%rdi)"
	FORM	movq_load, 8, 0, "movq (%rdi), %xmm0; movq %xmm0, %rax"
	FORM	movq_store, 8, 1, "movq %rcx, %xmm1; movq %xmm1, (%rdi)"
	FORM	movss_load, 4, 0, "movss (%rdi), %xmm0; movq %xmm0, %rax"
	FORM	movups_load, 16, 0, "movups (%rdi), %xmm0"
	FORM	movaps_load, 16, 0, "movaps (%rdi), %xmm0"
	FORM	movups_store, 16, 1, "movups %xmm1, (%rdi)"
	FORM	movaps_store, 16, 1, "movaps %xmm1, (%rdi)"
	FORM	movdqu_load, 16, 0, "movdqu (%rdi), %xmm7"
	FORM	movntdq, 16, 1, "movntdq %xmm0, (%rdi)"
	FORM	paddb, 16, 0, "paddb (%rdi), %xmm0"
	FORM	cmpxchg8b, 8, 1, "push %rbx; lock cmpxchg8b (%rdi); pop %rbx"
	FORM	cmpxchg16b, 16, 1, "push %rbx; lock cmpxchg16b (%rdi); pop %rbx"
	FORM	fld, 8, 0, "fninit; fldl (%rdi); fstp %st(0)"
	FORM	fild, 4, 0, "fninit; fildl (%rdi); fstp %st(0)"
	FORM	fistp, 4, 1, "fninit; fld1; fistpl (%rdi)"
	FORM	fldt, 10, 0, "fninit; fldt (%rdi); fstp %st(0)"
	FORM	fnstcw, 2, 1, "fnstcw (%rdi)"
	FORM	fxsave, 64, 1, "and $-16, %rdi; fxsave (%rdi)"
	FORM	fxrstor, 64, 0, "and $-16, %rdi; fxrstor (%rdi); fninit"
	FORM	ldmxcsr, 4, 0, "ldmxcsr (%rdi)"
	FORM	div32, 4, 0, "divl (%rdi)"
	FORM	idiv8, 1, 0, "idivb (%rdi)"
	FORM	shld, 4, 1, "shldl $4, %ecx, (%rdi)"
	FORM	shrd, 4, 1, "shrdl %cl, %eax, (%rdi)"
	FORM	bt_far, 4, 0, "btl %ecx, (%rdi)"
	FORM	bsf, 4, 0, "bsfl (%rdi), %eax"
	FORM	popcnt, 4, 0, "popcntl (%rdi), %eax"
	FORM	movbe, 4, 0, "movbel (%rdi), %eax"
	FORM	crc32, 4, 0, "crc32l (%rdi), %eax"
	FORM	rcl, 4, 1, "rcll $1, (%rdi)"
	FORM	load_segment, 2, 0, "movw (%rdi), %fs"
	FORM	store_segment, 2, 1, "movw %ds, (%rdi)"
	FORM	sgdt, 10, 1, "sgdt (%rdi)"
	FORM	sidt, 10, 1, "sidt (%rdi)"
	FORM	sldt, 2, 1, "sldt (%rdi)"
	FORM	lldt, 2, 0, "lldt (%rdi)"
	FORM	verr, 2, 0, "verr (%rdi)"
	FORM	lar, 2, 0, "lar (%rdi), %eax"
	FORM	smsw, 2, 1, "smsw (%rdi)"
	FORM	clflush, 1, 0, "clflush (%rdi)"
	FORM	prefetch, 1, 0, "prefetcht0 (%rdi)"
	FORM	invlpg, 1, 0, "invlpg (%rdi)"
	FORM	maskmov, 16, 1, "maskmovdqu %xmm0, %xmm1"
	FORM	bad_lock, 4, 0, ".byte 0xF0; movl (%rdi), %eax"
	FORM	many_prefixes, 4, 0, ".byte 0x66, 0x66, 0x66, 0x2E, 0x36, 0x67, 0x8B, 0x07"
	FORM	too_long, 4, 0, ".fill 14, 1, 0x66; .byte 0x8B, 0x07"
	FORM	vex_load, 16, 0, ".byte 0xC5, 0xF8, 0x10, 0x07"
	FORM	evex, 64, 0, ".byte 0x62, 0xF1, 0x7C, 0x48, 0x10, 0x07"
	FORM	ud_memory, 4, 0, ".byte 0x0F, 0xB9, 0x07"
	FORM	rep_movs8, 1, 1, "and $0x1FF, %ecx; rep movsb"
	FORM	rep_stos8, 1, 1, "and $0x1FF, %ecx; rep stosb"
	FORM	rep_stos64, 8, 1, "and $0x1FF, %ecx; rep stosq"
	FORM	rep_lods, 4, 0, "mov %rdi, %rsi; and $0x1FF, %ecx; rep lodsl"
	FORM	rep_self, 4, 1, "mov %rdi, %rsi; and $0x1FF, %ecx; rep movsl"
	FORM	repe_cmps, 4, 0, "and $0x1FF, %ecx; repe cmpsl"
	FORM	repne_scas, 1, 0, "and $0x1FF, %ecx; repne scasb"
	FORM	outs, 1, 0, "mov %rdi, %rsi; mov $0x3FF, %edx; outsb"
	FORM	ins, 4, 1, "mov $0x1234, %edx; insl"
	FORM	rep_ins, 1, 1, "mov $0x3FF, %edx; and $0x3F, %ecx; rep insb"
forms_end:

	// void form_enter(void (*code)(void), volatile void *cell, struct form_regs *r)
	.text
	.global	form_enter
form_enter:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdx
	mov	%rdi, %rbp
	mov	%rsi, %rdi
	mov	%rdx, %r11
	push	24(%r11)
	popfq
	mov	(%r11), %rax
	mov	8(%r11), %rcx
	mov	16(%r11), %rdx
	lea	32(%r11), %rsi
	lea	-0x1000(%rdi), %rbx
	mov	%rdi, %r14
	mov	%rsi, %r15
	call	*%rbp
	pushfq
	pop	%rbp
	cld
	pop	%r11
	mov	%rax, (%r11)
	mov	%rcx, 8(%r11)
	mov	%rdx, 16(%r11)
	mov	%rbp, 24(%r11)
	sub	%r14, %rdi
	mov	%rdi, 40(%r11)
	sub	%r15, %rsi
	mov	%rsi, 48(%r11)
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
	.section .note.GNU-stack, "", @progbits
