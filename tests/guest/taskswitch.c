// SPDX-License-Identifier: MIT
// 32-bit hardware tasks: jumps, a nested task and exits while the task register is busy.
#include "guest.h"
#include "smp.h"
#include "taskswitch.h"

struct tss32 {
	u32 link, esp0, ss0, esp1, ss1, esp2, ss2;
	u32 cr3, eip, eflags;
	u32 eax, ecx, edx, ebx, esp, ebp, esi, edi;
	u32 es, cs, ss, ds, fs, gs, ldt;
	u16 trap, iomap;
};
_Static_assert(sizeof(struct tss32) == 104, "fixed by the architecture");

extern u64 boot_gdt[];
extern u8 task_other[], task_nested[];
void tasks_run(u32 rounds);

volatile u32 tasks_main, tasks_other, tasks_nested;
static struct tss32 main_tss, other_tss, nested_tss;

static void describe(u32 selector, const struct tss32 *t)
{
	u64 at = (u64)t;

	boot_gdt[selector / 8] =
		103 | (at & 0xFFFFFF) << 16 | 0x89ull << 40 | (at >> 24 & 0xFF) << 56;
}

static void prepare(u32 selector, struct tss32 *t, void *code, u32 stack)
{
	*t = (struct tss32){.eip = (u32)(u64)code,
		.eflags = 2,
		.esp = stack,
		.cs = SEL_CODE32,
		.ss = SEL_DATA,
		.ds = SEL_DATA,
		.es = SEL_DATA,
		.fs = SEL_DATA,
		.gs = SEL_DATA,
		.iomap = 104};
	describe(selector, t);
}

void guest_main(void)
{
	u32 rounds = (u32)arg_number("n", 200);

	prepare(TASK_MAIN, &main_tss, NULL, 0);
	prepare(TASK_OTHER, &other_tss, task_other, OTHER_STACK);
	prepare(TASK_NESTED, &nested_tss, task_nested, NESTED_STACK);
	tasks_run(rounds);
	trap_init_cpu(); // TR is the 32-bit one
	check(tasks_main == rounds, "the main task went on %u times", tasks_main);
	check(tasks_other == rounds, "the other task ran %u times", tasks_other);
	check(tasks_nested == rounds, "the nested task ran %u times", tasks_nested);
	check(nested_tss.link == TASK_MAIN, "it was linked to 0x%x", nested_tss.link & 0xFFFF);
	check((boot_gdt[TASK_MAIN / 8] >> 40 & 0xFF) == 0x8B, "the main task is busy");
	check((boot_gdt[TASK_OTHER / 8] >> 40 & 0xFF) == 0x89, "the other is not");
}
