// SPDX-License-Identifier: MIT
// Runs one instruction on the processor itself, with given registers and flags.
#pragma once

#include <stdint.h>
#include <string.h>

struct native_cpu {
	uint64_t gpr[16];
	uint64_t rflags;
};

struct native_cpu native_cpu; // in and out
void *native_code, *native_host_rsp;
void native_enter(void);
void native_exit(void);

__asm__(".text\n"
	"native_enter:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rsp, native_host_rsp(%rip)\n"
	"	push native_cpu+128(%rip); popf\n"
	"	mov native_cpu+0(%rip), %rax;  mov native_cpu+8(%rip), %rcx\n"
	"	mov native_cpu+16(%rip), %rdx; mov native_cpu+24(%rip), %rbx\n"
	"	mov native_cpu+32(%rip), %rsp; mov native_cpu+40(%rip), %rbp\n"
	"	mov native_cpu+48(%rip), %rsi; mov native_cpu+56(%rip), %rdi\n"
	"	mov native_cpu+64(%rip), %r8;  mov native_cpu+72(%rip), %r9\n"
	"	mov native_cpu+80(%rip), %r10; mov native_cpu+88(%rip), %r11\n"
	"	mov native_cpu+96(%rip), %r12; mov native_cpu+104(%rip), %r13\n"
	"	mov native_cpu+112(%rip), %r14; mov native_cpu+120(%rip), %r15\n"
	"	jmp *native_code(%rip)\n"
	"native_exit:\n"
	"	mov %rax, native_cpu+0(%rip);  mov %rcx, native_cpu+8(%rip)\n"
	"	mov %rdx, native_cpu+16(%rip); mov %rbx, native_cpu+24(%rip)\n"
	"	mov %rsp, native_cpu+32(%rip); mov %rbp, native_cpu+40(%rip)\n"
	"	mov %rsi, native_cpu+48(%rip); mov %rdi, native_cpu+56(%rip)\n"
	"	mov %r8, native_cpu+64(%rip);  mov %r9, native_cpu+72(%rip)\n"
	"	mov %r10, native_cpu+80(%rip); mov %r11, native_cpu+88(%rip)\n"
	"	mov %r12, native_cpu+96(%rip); mov %r13, native_cpu+104(%rip)\n"
	"	mov %r14, native_cpu+112(%rip); mov %r15, native_cpu+120(%rip)\n"
	"	mov native_host_rsp(%rip), %rsp\n"
	"	pushf; pop native_cpu+128(%rip)\n"
	"	cld\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n");

// Executes the instruction at page (writable and executable) between native_cpu before and after.
static inline void native_run(uint8_t *page, const uint8_t *bytes, unsigned length)
{
	static const uint8_t jump[] = {0xff, 0x25, 0, 0, 0, 0}; // jmp *0(%rip)
	void (*back)(void) = native_exit;

	memcpy(page, bytes, length);
	memcpy(page + length, jump, sizeof(jump));
	memcpy(page + length + sizeof(jump), &back, sizeof(back));
	native_code = page;
	native_enter();
}
