// SPDX-License-Identifier: MIT
// Ring 3: what is privileged faults there and not in the hypervisor; and the guest's page protection holds for
// accesses to device memory, in both operands of a string move.
#include "guest.h"
#include "apic.h"
#include "smp.h"

#define AREA ((u64)BIT(39))

enum { CODE, DEVICE, DEVICE_RO, DEVICE_KERNEL, RAM, RAM_RO, RAM_KERNEL, NOTHING, STACK };

struct row {
	const char *name;
	const u8 *code, *fault;
	u64 vector;
};

struct user_call {
	u64 rip, rdi, rsi, rsp, flags;
};

extern const struct row user_rows[], user_rows_end[];
extern u64 boot_pml4[512];
void user_enter(const struct user_call *c);

static u8 *code_page;

static u64 page(u32 n, u64 offset)
{
	return AREA + n * PAGE_SIZE + offset;
}

static void map_area(void)
{
	u64 *pdpt = memory_pages(1), *pd = memory_pages(1), *table = memory_pages(1);
	u64 ram = (u64)memory_pages(1);

	code_page = memory_pages(1);
	boot_pml4[AREA >> 39] = (u64)pdpt | 7;
	pdpt[0] = (u64)pd | 7;
	pd[0] = (u64)table | 7;
	table[CODE] = (u64)code_page | 7;
	table[DEVICE] = APIC_DEFAULT | 0x1F;
	table[DEVICE_RO] = APIC_DEFAULT | 0x1D;
	table[DEVICE_KERNEL] = APIC_DEFAULT | 0x1B;
	table[RAM] = ram | 7;
	table[RAM_RO] = ram | 5;
	table[RAM_KERNEL] = ram | 3;
	table[STACK] = (u64)memory_pages(1) | 7;
}

static void enter(void *arg)
{
	u64 sp;

	__asm__ volatile("mov %%rsp, %0" : "=r"(sp));
	this_cpu()->tss.rsp[0] = ALIGN_DOWN(sp - 512, 16);
	user_enter(arg);
}

static int run(const u8 *code, u32 size, u64 rdi, u64 rsi, u64 flags)
{
	struct user_call c = {AREA, rdi, rsi, page(STACK, 4096 - 64), 2 | flags};

	memcpy(code_page, code, size);
	return try_call(enter, &c);
}

static void test_rows(void)
{
	for (const struct row *r = user_rows; r < user_rows_end; r++) {
		int fault = run(r->code, 32, page(RAM, 0), page(RAM, 0), 0);
		u64 at = try_rip() - AREA;

		check(fault == (int)r->vector && at == (u64)(r->fault - r->code),
			"%s: vector %d at %lu", r->name, fault, at);
	}
}

static void test_hypercall(void)
{
	static const u8 vmmcall[] = {0xB8, 0x77, 0x77, 0, 0, 0x0F, 0x01, 0xD9, 0x0F, 0x0B};
	int fault = run(vmmcall, sizeof(vmmcall), 0, 0, 0);

	if (arg_given("qemu")) // has none to ask
		return;
	check(fault == VEC_UD && try_rip() == AREA + 8 && try_rax() == (u64)-1,
		"VMMCALL gives %ld (%d at %lu)", (s64)try_rax(), fault, try_rip() - AREA);
}

static void test_iopl(void)
{
	static const u8 in[] = {
		0x66, 0xBA, 0xFB, 0x03, 0xEC, 0x0F, 0x0B}; // mov $0x3FB, %dx; in (%dx), %al; ud2
	int fault = run(in, sizeof(in), 0, 0, 3 << 12);

	check(fault == VEC_UD && try_rip() == AREA + 5 && try_rax() == 3,
		"with IOPL 3 a port is allowed (%d, 0x%lx)", fault, try_rax());
}

static const u8 load[] = {0x8B, 0x07, 0x0F, 0x0B};  // mov (%rdi), %eax; ud2
static const u8 store[] = {0x89, 0x07, 0x0F, 0x0B}; // mov %eax, (%rdi); ud2
static const u8 moves[] = {0xA5, 0x0F, 0x0B};       // movsl; ud2

// error: of the page fault that is due at `where`; 0: none.
static void expect(
	const char *what, const u8 *code, u32 size, u64 rdi, u64 rsi, u64 error, u64 where)
{
	int fault = run(code, size, rdi, rsi, 0);

	if (error)
		check(fault == VEC_PF && try_error() == error && try_cr2() == where &&
				try_rip() == AREA,
			"%s: vector %d error %lu at 0x%lx", what, fault, try_error(),
			try_cr2() - AREA);
	else
		check(fault == VEC_UD && try_rip() == AREA + size - 2, "%s: vector %d at %lu", what,
			fault, try_rip() - AREA);
}

#define LOAD(what, p, error)  expect(what, load, 4, page(p, 0x30), 0, error, page(p, 0x30))
#define STORE(what, p, error) expect(what, store, 4, page(p, 0x80), 0, error, page(p, 0x80))
#define MOVE(what, from, to, error, where)                                                         \
	expect(what, moves, 3, page(to, 0x80), page(from, 0x30), error, where)

static void test_pages(void)
{
	LOAD("load from a device", DEVICE, 0);
	LOAD("load from a read-only device page", DEVICE_RO, 0);
	LOAD("load from a device page of ring 0", DEVICE_KERNEL, 5);
	STORE("store to a device", DEVICE, 0);
	STORE("store to a read-only device page", DEVICE_RO, 7);
	STORE("store to a device page of ring 0", DEVICE_KERNEL, 7);
	MOVE("device to RAM", DEVICE, RAM, 0, 0);
	MOVE("device to read-only RAM", DEVICE, RAM_RO, 7, page(RAM_RO, 0x80));
	MOVE("device to RAM of ring 0", DEVICE, RAM_KERNEL, 7, page(RAM_KERNEL, 0x80));
	MOVE("device to nothing", DEVICE, NOTHING, 6, page(NOTHING, 0x80));
	MOVE("RAM to device", RAM, DEVICE, 0, 0);
	MOVE("read-only RAM to device", RAM_RO, DEVICE, 0, 0);
	MOVE("RAM of ring 0 to device", RAM_KERNEL, DEVICE, 5, page(RAM_KERNEL, 0x30));
	MOVE("nothing to device", NOTHING, DEVICE, 4, page(NOTHING, 0x30));
	MOVE("RAM to read-only device", RAM, DEVICE_RO, 7, page(DEVICE_RO, 0x80));
	MOVE("device of ring 0 to RAM", DEVICE_KERNEL, RAM, 5, page(DEVICE_KERNEL, 0x30));
}

static void move_in_ring0(void *to)
{
	u64 from = page(DEVICE, 0x30);

	__asm__ volatile("movsl" : "+D"(to), "+S"(from) : : "memory");
}

static void test_ring0(void)
{
	u64 cr0 = read_cr0(), to = page(RAM_RO, 0x80);
	int fault = try_call(move_in_ring0, (void *)to);

	check(fault == VEC_PF && try_error() == 3 && try_cr2() == to,
		"ring 0, CR0.WP: device to read-only RAM: vector %d error %lu", fault, try_error());
	write_cr0(cr0 & ~CR0_WP);
	fault = try_call(move_in_ring0, (void *)to);
	check(fault == NO_FAULT, "ring 0 without CR0.WP: it is written (%d)", fault);
	write_cr0(cr0);
}

void guest_main(void)
{
	apic_enable();
	map_area();
	test_rows();
	test_hypercall();
	test_iopl();
	test_pages();
	test_ring0();
	check(read_cr8() == apic_read(APIC_TPR) >> 4, "CR8 and TPR agree");
	apic_write(APIC_TPR, 0);
}
