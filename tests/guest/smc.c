// SPDX-License-Identifier: MIT
// Instructions at device memory that cross a page, whose second page is missing, and that another CPU rewrites
// or unmaps while they fault: what comes of it must be the guest's own.
#include "guest.h"
#include "apic.h"
#include "smp.h"

#define DEVICE (APIC_DEFAULT + APIC_VERSION)
#define CODE   BIT(39) // two pages of code are mapped there, beside nothing

static u8 *pages;  // the code's two pages
static u64 *table; // their page table

// mov eax, [rdi]; ret, and other texts of other lengths that begin at the same byte. No half of one and half of another
// writes RSP (67 8B 25 would): without a stack a fault becomes a #DF, rightly.
static const u8 texts[][12] = {
	{0x8B, 0x07, 0xC3},                      // mov (%rdi), %eax; ret
	{0x48, 0x8B, 0x07, 0xC3},                // mov (%rdi), %rax
	{0x67, 0x8B, 0x07, 0xC3},                // mov (%edi), %eax
	{0x8B, 0x87, 0, 0, 0, 0, 0xC3},          // mov 0(%rdi), %eax
	{0x03, 0x07, 0xC3},                      // add (%rdi), %eax
	{0x0F, 0xB6, 0x07, 0xC3},                // movzbl (%rdi), %eax
	{0x8B, 0x04, 0xFD, 0, 0, 0, 0x80, 0xC3}, // mov -0x80000000(,%rdi,8), %eax: a fault
	{0x90, 0x8B, 0x47, 0x00, 0xC3},          // nop; mov 0(%rdi), %eax
	{0x0F, 0x0B},                            // ud2
	{0xC3},                                  // ret
	{0xAD, 0xC3},                            // lodsl
	{0xF0, 0x87, 0x07, 0xC3},                // lock xchg %eax, (%rdi)
};

static void map_code(void)
{
	extern u64 boot_pml4[512];
	u64 *pdpt = memory_pages(1), *pd = memory_pages(1);

	table = memory_pages(1);
	pages = memory_pages(2);
	boot_pml4[CODE >> 39] = (u64)pdpt | 3;
	pdpt[0] = (u64)pd | 3;
	pd[0] = (u64)table | 3;
	table[0] = (u64)pages | 3;
	table[1] = ((u64)pages + PAGE_SIZE) | 3;
}

static void invalidate(u64 at)
{
	__asm__ volatile("invlpg (%0)" : : "r"(at) : "memory");
}

struct call {
	u64 at, rdi, rax;
};

// Halves of two texts may change any register (67 B6 07 is mov $7, %dh), and write to where any points.
static void call(void *arg)
{
	struct call *c = arg;
	register u64 at __asm__("r8") = c->at;
	u64 rax = c->rax, rbx = c->rdi, rcx = c->rdi, rdx = c->rdi, rsi = c->rdi, rdi = c->rdi;

	__asm__ volatile(
		"push %%rbp; call *%%r8; pop %%rbp"
		: "+a"(rax), "+b"(rbx), "+c"(rcx), "+d"(rdx), "+S"(rsi), "+D"(rdi), "+r"(at)
		:
		: "memory", "cc", "r9", "r10", "r11", "r12", "r13", "r14", "r15");
	c->rax = rax;
}

static void put(u32 offset, const u8 *text, u32 n)
{
	for (u32 i = 0; i < n; i++)
		*(volatile u8 *)(pages + offset + i) = text[i];
}

static void test_crossing(void)
{
	u32 version = *(volatile u32 *)DEVICE;

	for (u32 before = 1; before <= 6; before++) {
		struct call c = {.at = CODE + PAGE_SIZE - before, .rdi = DEVICE, .rax = 0};
		int fault;

		put((u32)PAGE_SIZE - before, texts[3], 7);
		fault = try_call(call, &c);
		check(fault == NO_FAULT && (u32)c.rax == version,
			"%u bytes before a page's end: 0x%lx", before, c.rax);
		if (before == 6) // all of it is on the first page
			break;
		table[1] = 0;
		invalidate(CODE + PAGE_SIZE);
		fault = try_call(call, &c);
		check(fault == VEC_PF && try_cr2() == CODE + PAGE_SIZE,
			"%u bytes before a missing page: %d at 0x%lx", before, fault, try_cr2());
		table[1] = ((u64)pages + PAGE_SIZE) | 3;
		invalidate(CODE + PAGE_SIZE);
	}
}

static volatile bool go_on;

static void rewrite(void *arg)
{
	(void)arg;
	while (go_on)
		for (u32 i = 0; i < 64 && go_on; i++)
			put((u32)PAGE_SIZE - 3, texts[random_below(ARRAY_SIZE(texts))],
				sizeof(texts[0]));
}

static void pause_for(u64 n)
{
	while (n--)
		cpu_relax();
}

// Without telling the other CPU: it may use what it has cached.
static void unmap(void *arg)
{
	(void)arg;
	while (go_on) {
		table[random64() & 1] = 0;
		pause_for(random_below(500));
		table[0] = (u64)pages | 3;
		table[1] = ((u64)pages + PAGE_SIZE) | 3;
		pause_for(random_below(2000));
	}
}

static void race(void (*enemy)(void *), const char *what, u64 n)
{
	u32 done = 0, ud = 0, pf = 0, df = 0, mc = 0;
	u64 end = deadline_ms(10000);

	if (smp_count() < 2)
		return;
	go_on = true;
	smp_run(1, enemy, NULL);
	while (n || (!done && !deadline_past(end))) {
		struct call c = {.at = CODE + PAGE_SIZE - 3, .rdi = DEVICE, .rax = 0};
		int fault;

		n -= n > 0;
		invalidate(CODE);
		invalidate(CODE + PAGE_SIZE);
		fault = try_call(call, &c);
		__asm__ volatile("cld");
		done += fault == NO_FAULT;
		ud += fault == VEC_UD;
		pf += fault == VEC_PF;
		df += fault == VEC_DF; // halves of two texts may be anything else
		mc += fault == VEC_MC;
	}
	go_on = false;
	smp_wait();
	print("%s: %u done, %u #UD, %u #PF\n", what, done, ud, pf);
	check(done, "%s: some are carried out", what);
	check(!df && !mc, "%s: no strange exception (%u #DF, %u #MC)", what, df, mc);
}

void guest_main(void)
{
	u64 n = arg_number("n", 5000);

	smp_start();
	map_code();
	test_crossing();
	race(rewrite, "rewritten", n);
	put((u32)PAGE_SIZE - 3, texts[3], 7);
	race(unmap, "unmapped", n);
	test_crossing();
}
