// SPDX-License-Identifier: MIT
// Debug registers hold what is written, through exits; single steps and breakpoints come exactly once at
// instructions that the hypervisor carries out.
#include "guest.h"
#include "apic.h"
#include "smp.h"

static volatile u32 steps;
static volatile u64 dr6_seen;
static volatile u64 step_rip[16];

static void on_debug(struct trap *t)
{
	if (steps < ARRAY_SIZE(step_rip))
		step_rip[steps] = t->rip;
	steps++;
	t->rflags |= BIT(16); // go on over an execution breakpoint
	dr6_seen |= read_dr6();
	write_dr6(0xFFFF0FF0);
}

static void test_values(void)
{
	for (u32 i = 0; i < 200; i++) {
		u64 v[4];

		for (u32 j = 0; j < 4; j++)
			v[j] = random64();
		write_dr0(v[0]);
		write_dr1(v[1]);
		write_dr2(v[2]);
		write_dr3(v[3]);
		if (i % 8 == 0)
			cpuid(0, 0);
		if (i % 16 == 0)
			delay_us(1000);
		check_quiet(read_dr0() == v[0] && read_dr1() == v[1] && read_dr2() == v[2] &&
				    read_dr3() == v[3],
			"DR0-3 hold other values");
	}
}

static void write_dr7_high(void *arg)
{
	(void)arg;
	write_dr7(BIT(32));
}

static void write_dr6_high(void *arg)
{
	(void)arg;
	write_dr6(BIT(63));
}

static void read_dr4(void *arg)
{
	(void)arg;
	__asm__ volatile(".byte 0x0F, 0x21, 0xE0" : : : "rax");
}

static void test_faults(void)
{
	u64 cr4 = read_cr4();

	if (!arg_given("qemu")) { // takes them
		check(try_call(write_dr7_high, NULL) == VEC_GP, "DR7 bit 32 faults");
		check(try_call(write_dr6_high, NULL) == VEC_GP, "DR6 bit 63 faults");
	}
	write_cr4(cr4 | BIT(3));
	check(try_call(read_dr4, NULL) == VEC_UD, "DR4 is #UD with CR4.DE");
	write_cr4(cr4 & ~BIT(3));
	check(try_call(read_dr4, NULL) == NO_FAULT, "and DR6 without");
	write_cr4(cr4);
}

static void random_dr7(void)
{
	for (u32 i = 0; i < 500; i++) {
		u64 v = random64() & 0xFFFFFFFF & ~BIT(13) & ~0xFFull; // no GD, nothing enabled

		write_dr7(v);
		cpuid(0, 0);
		check_quiet((read_dr7() & 0xFFFF0000) == (v & 0xFFFF0000), "DR7 0x%lx reads 0x%lx",
			v, read_dr7());
	}
	write_dr7(0x400);
}

// Each text is stepped over; a step comes after the popf's next instruction, and after each that follows up to
// and with the popf that ends it.
#define STEP(expect, what, text)                                                                   \
	do {                                                                                       \
		steps = 0;                                                                         \
		dr6_seen = 0;                                                                      \
		__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq\n\t" text "\n\t"              \
				 "pushfq; andl $~0x100, (%%rsp); popfq"                            \
				 :                                                                 \
				 : "D"(APIC_DEFAULT + APIC_VERSION), "b"(0)                        \
				 : "rax", "rcx", "rdx", "rsi", "memory", "cc");                    \
		check(steps == (expect) + 3 && (dr6_seen & BIT(14)),                               \
			"steps over %s: %u (DR6 0x%lx)", what, steps, dr6_seen);                   \
	} while (0)

static void test_steps(void)
{
	STEP(2, "two NOPs", "nop; nop");
	STEP(4, "CPUID", "xor %%eax, %%eax; push %%rbx; cpuid; pop %%rbx");
	STEP(2, "IN", "mov $0x3FF, %%edx; in (%%dx), %%al");
	STEP(2, "OUT", "mov $0x3FF, %%edx; out %%al, (%%dx)");
	STEP(1, "a load from a device", "mov (%%rdi), %%eax");
	STEP(1, "a store to a device", "mov %%eax, 0x50(%%rdi)"); // TPR
	STEP(2, "RDMSR", "mov $0x1B, %%ecx; rdmsr");
	STEP(3, "a string of three to a port", "lea 0(%%rsp), %%rsi; mov $0x3FF, %%edx; outsb");
	STEP(1, "MOV from CR8", "mov %%cr8, %%rax");
	apic_write(APIC_TPR, 0);
}

static volatile u64 word;

static void test_breakpoints(void)
{
	extern const u8 break_here[];

	steps = 0;
	dr6_seen = 0;
	write_dr0((u64)&word);
	write_dr7(0x400 | 1 | 0x1ull << 16 | 0x2ull << 18); // 8 bytes, writes
	word = 1;
	__asm__ volatile("nop");
	write_dr7(0x400);
	word = 2;
	check(steps == 1 && (dr6_seen & 1), "a write is seen once (%u, DR6 0x%lx)", steps,
		dr6_seen);
	steps = 0;
	dr6_seen = 0;
	write_dr1((u64)break_here);
	write_dr7(0x400 | 4);
	__asm__ volatile(".global break_here\nbreak_here: cpuid" : : "a"(0) : "rbx", "rcx", "rdx");
	write_dr7(0x400);
	check(steps && (dr6_seen & 2), "an execution breakpoint at CPUID (%u, DR6 0x%lx)", steps,
		dr6_seen);
}

static u64 other_dr0;

static void other_values(void *arg)
{
	write_dr0((u64)arg);
	delay_us(20000);
	other_dr0 = read_dr0();
}

static void test_apart(void)
{
	if (smp_count() < 2)
		return;
	write_dr0(0x1111);
	smp_run(1, other_values, (void *)0x2222);
	delay_us(40000);
	smp_wait();
	check(read_dr0() == 0x1111 && other_dr0 == 0x2222, "each CPU has its own: 0x%lx, 0x%lx",
		read_dr0(), other_dr0);
}

void guest_main(void)
{
	smp_start();
	tsc_per_ms();
	test_values();
	test_faults();
	random_dr7();
	trap_handle(VEC_DB, on_debug);
	test_steps();
	test_breakpoints();
	test_apart();
	trap_handle(VEC_DB, NULL);
	test_values();
}
