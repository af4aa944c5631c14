// SPDX-License-Identifier: MIT
// Entering and leaving a guest (APM vol. 2, 15.5 and 15.6).

// void svm_run(u64 vmcb_pa, u64 *gpr, u64 host_vmcb_pa)
//
// With GIF clear, IF is set so that physical interrupts are seen as exits (V_INTR_MASKING); they stay pending
// and are taken later, when GIF is set and the caller enables interrupts. VMLOAD and VMSAVE carry the hidden
// state (FS, GS, TR, LDTR and the system-call registers) that VMRUN leaves alone; the host's comes back before
// GIF is set, so that no exception of ours ever meets a guest's TR or GS.
	.text
	.globl	svm_run
	.type	svm_run, @function
svm_run:
	pushq	%rbp
	movq	%rsp, %rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	pushq	%rdx
	pushq	%rsi
	clgi
	sti
	movq	%rdi, %rax
	vmload	%rax
	movq	0x08(%rsi), %rcx
	movq	0x10(%rsi), %rdx
	movq	0x18(%rsi), %rbx
	movq	0x28(%rsi), %rbp
	movq	0x38(%rsi), %rdi
	movq	0x40(%rsi), %r8
	movq	0x48(%rsi), %r9
	movq	0x50(%rsi), %r10
	movq	0x58(%rsi), %r11
	movq	0x60(%rsi), %r12
	movq	0x68(%rsi), %r13
	movq	0x70(%rsi), %r14
	movq	0x78(%rsi), %r15
	movq	0x30(%rsi), %rsi
	vmrun	%rax
	vmsave	%rax
	xchgq	%rsi, (%rsp)
	movq	%rcx, 0x08(%rsi)
	movq	%rdx, 0x10(%rsi)
	movq	%rbx, 0x18(%rsi)
	movq	%rbp, 0x28(%rsi)
	popq	%rcx
	movq	%rcx, 0x30(%rsi)
	movq	%rdi, 0x38(%rsi)
	movq	%r8, 0x40(%rsi)
	movq	%r9, 0x48(%rsi)
	movq	%r10, 0x50(%rsi)
	movq	%r11, 0x58(%rsi)
	movq	%r12, 0x60(%rsi)
	movq	%r13, 0x68(%rsi)
	movq	%r14, 0x70(%rsi)
	movq	%r15, 0x78(%rsi)
	popq	%rax
	vmload	%rax
	cli
	stgi
	// Nothing of the guest's stays in a register that the kernel might use speculatively.
	xorl	%ecx, %ecx
	xorl	%edx, %edx
	xorl	%edi, %edi
	xorl	%r8d, %r8d
	xorl	%r9d, %r9d
	xorl	%r10d, %r10d
	xorl	%r11d, %r11d
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	ret
	.size	svm_run, . - svm_run

	.section .note.GNU-stack, "", @progbits
