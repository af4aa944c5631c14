// SPDX-License-Identifier: MIT
// The end: says why, shows registers and the way here, stops the machine.
#include "kernel/core/cmdline.h"
#include "kernel/core/console.h"
#include "kernel/core/hw_console.h"
#include "kernel/core/log.h"
#include "kernel/core/machine.h"
#include "kernel/x86/arch_pcpu.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/lapic.h"
#include "kernel/x86/stack.h"
#include "kernel/x86/symbol.h"
#include "kernel/x86/trap.h"
#include "lib/string.h"

#define BACKTRACE_MAX 24

extern char text_start[], rodata_start[];

u64 __stack_chk_guard; // set by boot.S
void __stack_chk_fail(void);

static void put(const char *text)
{
	size_t n = strlen(text);

	console_panic_write(text, n);
	screen_write(text, n);
}

__attribute__((format(printf, 1, 2))) static void print(const char *fmt, ...)
{
	char text[160];
	va_list args;

	va_start(args, fmt);
	format_v(text, sizeof(text), fmt, args);
	va_end(args);
	put(text);
}

// `back`: 1 for a return address, which may lie behind the last instruction of the function that
// called.
static void print_code_address(unsigned n, u64 a, u64 back)
{
	char name[SYMBOL_MAX];
	u64 offset;

	if (symbol_find(a - back, name, &offset))
		print("  #%u %016llx %s+%#llx\n", n, (unsigned long long)a, name,
			(unsigned long long)(offset + back));
	else
		print("  #%u %016llx\n", n, (unsigned long long)a);
}

// Follows the frame pointers as long as they rise within the stacks' own part of the address space.
static void print_backtrace(u64 rip, u64 rbp)
{
	print_code_address(0, rip, 0);
	for (unsigned n = 1; n < BACKTRACE_MAX; n++) {
		const u64 *frame = (const u64 *)rbp;

		if (!stack_contains(rbp) || !stack_contains(rbp + 8) || (rbp & 7))
			return;
		if (frame[1] < (u64)text_start || frame[1] >= (u64)rodata_start)
			return;
		print_code_address(n, frame[1], 1);
		if (frame[0] <= rbp)
			return;
		rbp = frame[0];
	}
}

static void print_registers(const struct trap_frame *f)
{
#define R(x) ((unsigned long long)f->x)
	print("rip %016llx  rflags %08llx  rsp %016llx\n", R(rip), R(rflags), R(rsp));
	print("rax %016llx  rbx %016llx  rcx %016llx\n", R(rax), R(rbx), R(rcx));
	print("rdx %016llx  rsi %016llx  rdi %016llx\n", R(rdx), R(rsi), R(rdi));
	print("rbp %016llx  r8  %016llx  r9  %016llx\n", R(rbp), R(r8), R(r9));
	print("r10 %016llx  r11 %016llx  r12 %016llx\n", R(r10), R(r11), R(r12));
	print("r13 %016llx  r14 %016llx  r15 %016llx\n", R(r13), R(r14), R(r15));
#undef R
	print("cr0 %llx  cr2 %llx  cr3 %llx  cr4 %llx  efer %llx\n", (unsigned long long)cr0_read(),
		(unsigned long long)cr2_read(), (unsigned long long)cr3_read(),
		(unsigned long long)cr4_read(), (unsigned long long)msr_read(MSR_EFER));
}

// One CPU reports; any other that panics meanwhile, and this one if the report itself fails, only
// stops.
static void panic_begin(void)
{
	__asm__ volatile("cli");
	if (atomic_exchange(&machine_stopping, 1))
		cpu_halt();
	lapic_nmi_others();
}

static _Noreturn void panic_end(void)
{
	if (cmdline_is("panic", "poweroff"))
		machine_poweroff();
	if (cmdline_is("panic", "reset"))
		machine_reset();
	cpu_halt();
}

_Noreturn void panic_trap(const struct trap_frame *f, const char *what)
{
	panic_begin();
	console_panic_event(what);
	print("\nPANIC on CPU %u: %s, error %#llx\n", this_pcpu()->id, what,
		(unsigned long long)f->error);
	print_registers(f);
	print_backtrace(f->rip, f->rbp);
	panic_end();
}

_Noreturn void panic(const char *fmt, ...)
{
	char text[200];
	va_list args;

	panic_begin();
	va_start(args, fmt);
	format_v(text, sizeof(text), fmt, args);
	va_end(args);
	console_panic_event(text);
	print("\nPANIC on CPU %u: %s\n", this_pcpu()->id, text);
	print("rflags %08llx  cr0 %llx  cr2 %llx  cr3 %llx  cr4 %llx\n",
		(unsigned long long)rflags_read(), (unsigned long long)cr0_read(),
		(unsigned long long)cr2_read(), (unsigned long long)cr3_read(),
		(unsigned long long)cr4_read());
	print_backtrace((u64)__builtin_return_address(0), *(const u64 *)__builtin_frame_address(0));
	panic_end();
}

void __stack_chk_fail(void)
{
	panic("a stack frame was overwritten");
}
