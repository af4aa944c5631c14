// SPDX-License-Identifier: MIT
// Exceptions and interrupts: tables, dispatch, and the calls that survive a fault.
#include "guest.h"
#include "smp.h"

struct __attribute__((packed)) gate {
	u16 offset0, selector;
	u8 ist, type;
	u16 offset1;
	u32 offset2, reserved;
};

extern u8 trap_stubs[256][16], try_landing[];
extern u64 boot_gdt[];
extern struct table_ptr boot_gdt_ptr;
int try_enter(void (*fn)(void *), void *arg, u64 *slot);
void trap_dispatch(struct trap *t);

static struct gate idt[256];
static trap_fn *handlers[256];

static void idt_fill(void)
{
	for (u32 v = 0; v < 256; v++) {
		u64 at = (u64)trap_stubs[v];

		idt[v] = (struct gate){.offset0 = (u16)at,
			.offset1 = (u16)(at >> 16),
			.type = 0x8E,
			.selector = SEL_CODE64,
			.ist = v == VEC_DF};
	}
}

void trap_init_cpu(void)
{
	struct cpu *cpu = this_cpu();
	u64 base = (u64)&cpu->tss, *desc = &boot_gdt[SEL_TSS / 8 + 2 * cpu->index];
	struct table_ptr idt_ptr = {sizeof(idt) - 1, (u64)idt};

	if (!idt[0].type)
		idt_fill();
	cpu->tss.rsp[0] = (u64)cpu + STACK_SIZE;
	cpu->tss.ist[0] = (u64)cpu + IST_TOP;
	cpu->tss.iomap = sizeof(struct tss);
	desc[0] = (sizeof(struct tss) - 1) | (base & 0xFFFFFF) << 16 | 0x89ull << 40 |
		  (base >> 24 & 0xFF) << 56;
	desc[1] = base >> 32;
	lgdt(&boot_gdt_ptr);
	lidt(&idt_ptr);
	ltr((u16)(SEL_TSS + 16 * cpu->index));
}

void trap_handle(u32 vector, trap_fn *fn)
{
	*(trap_fn *volatile *)&handlers[vector] = fn;
}

static __attribute__((noreturn)) void trap_die(struct trap *t)
{
	print("unexpected vector %u error 0x%lx rip 0x%lx cs 0x%lx flags 0x%lx rsp 0x%lx cr2 0x%lx cpu %u\n",
		(u32)t->vector, t->error, t->rip, t->cs, t->rflags, t->rsp, read_cr2(),
		this_cpu()->index);
	print("rax 0x%lx rbx 0x%lx rcx 0x%lx rdx 0x%lx rsi 0x%lx rdi 0x%lx rbp 0x%lx\n", t->rax,
		t->rbx, t->rcx, t->rdx, t->rsi, t->rdi, t->rbp);
	guest_exit(1);
}

void trap_dispatch(struct trap *t)
{
	struct cpu *cpu = this_cpu();
	u32 vector = (u32)t->vector;

	if (handlers[vector]) {
		handlers[vector](t);
		return;
	}
	if (vector >= 32 || vector == VEC_NMI || !cpu->try_sp)
		trap_die(t);
	cpu->try_error = t->error;
	cpu->try_cr2 = read_cr2();
	cpu->try_rip = t->rip;
	cpu->try_rax = t->rax;
	t->rip = (u64)try_landing;
	t->rsp = cpu->try_sp;
	t->cs = SEL_CODE64;
	t->ss = SEL_DATA;
	t->rflags = 2;
	t->rax = vector;
}

int try_call(void (*fn)(void *), void *arg)
{
	return try_enter(fn, arg, &this_cpu()->try_sp);
}
u64 try_error(void)
{
	return this_cpu()->try_error;
}
u64 try_cr2(void)
{
	return this_cpu()->try_cr2;
}
u64 try_rax(void)
{
	return this_cpu()->try_rax;
}
u64 try_rip(void)
{
	return this_cpu()->try_rip;
}

struct register_access {
	u32 number;
	u64 value;
};

static void do_rdmsr(void *arg)
{
	struct register_access *a = arg;

	a->value = rdmsr(a->number);
}

static void do_wrmsr(void *arg)
{
	struct register_access *a = arg;

	wrmsr(a->number, a->value);
}

static void do_write_cr(void *arg)
{
	struct register_access *a = arg;

	if (a->number == 0)
		write_cr0(a->value);
	else if (a->number == 3)
		write_cr3(a->value);
	else
		write_cr4(a->value);
}

int try_rdmsr(u32 msr, u64 *v)
{
	struct register_access a = {.number = msr};
	int fault = try_call(do_rdmsr, &a);

	*v = a.value;
	return fault;
}

int try_wrmsr(u32 msr, u64 v)
{
	struct register_access a = {msr, v};

	return try_call(do_wrmsr, &a);
}

static int try_write_cr(u32 number, u64 v)
{
	struct register_access a = {number, v};

	return try_call(do_write_cr, &a);
}

int try_write_cr0(u64 v)
{
	return try_write_cr(0, v);
}
int try_write_cr3(u64 v)
{
	return try_write_cr(3, v);
}
int try_write_cr4(u64 v)
{
	return try_write_cr(4, v);
}
