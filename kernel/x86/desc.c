// SPDX-License-Identifier: MIT
// Descriptor tables: each CPU's GDT and TSS, and the one IDT (APM vol. 2, 4.8 and 8.9).
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/x86/arch_pcpu.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/trap.h"
#include "lib/string.h"

struct gate {
	u16 offset_low;
	u16 selector;
	u8 ist;
	u8 type;
	u16 offset_mid;
	u32 offset_high;
	u32 reserved;
};

struct table_pointer {
	u16 limit;
	u64 base;
} __attribute__((packed));

#define GATE_INTERRUPT 0x8E // present, ring 0, 64-bit interrupt gate: interrupts stay off
#define EXCEPTIONS     32
#define VECTORS        256
#define ENTRY_SIZE     16 // of one exception in entry.S

static struct gate exceptions[EXCEPTIONS];
static struct gate *idt = exceptions;
static u16 idt_size = sizeof(exceptions);

extern const char exception_entries[];
void interrupt_timer(void);
void interrupt_kick(void);
void interrupt_serial(void);
void interrupt_other(void);
void interrupt_spurious(void);

void idt_set(u32 vector, const void *entry)
{
	u64 a = (u64)entry;

	idt[vector] = (struct gate){
		.offset_low = (u16)a,
		.selector = SELECTOR_CODE,
		.type = GATE_INTERRUPT,
		.offset_mid = (u16)(a >> 16),
		.offset_high = (u32)(a >> 32),
	};
}

void idt_init(void)
{
	for (u32 v = 0; v < EXCEPTIONS; v++)
		idt_set(v, exception_entries + v * ENTRY_SIZE);
	idt[VECTOR_DOUBLE_FAULT].ist = 1;
	idt[VECTOR_NMI].ist = 2;
	idt[VECTOR_MACHINE_CHECK].ist = 3;
}

void idt_init_all(void)
{
	idt_size = VECTORS * sizeof(*idt);
	idt = kmem_alloc(idt_size, FRAME_OWNER_KERNEL);
	if (!idt)
		panic("no memory for the interrupt descriptor table");
	memcpy(idt, exceptions, sizeof(exceptions));
	for (u32 v = EXCEPTIONS; v < VECTORS; v++)
		idt_set(v, (const void *)interrupt_other);
	idt_set(VECTOR_TIMER, (const void *)interrupt_timer);
	idt_set(VECTOR_KICK, (const void *)interrupt_kick);
	idt_set(VECTOR_SERIAL, (const void *)interrupt_serial);
	idt_set(VECTOR_SPURIOUS, (const void *)interrupt_spurious);
}

// A 64-bit TSS descriptor takes two entries; "available", so that LTR accepts it.
static void gdt_fill(struct arch_pcpu *a)
{
	u64 base = (u64)&a->tss;

	a->gdt[0] = 0;
	a->gdt[SELECTOR_CODE / 8] = 0x00AF9B000000FFFF;
	a->gdt[SELECTOR_DATA / 8] = 0x00CF93000000FFFF;
	a->gdt[SELECTOR_TSS / 8] = (sizeof(struct tss) - 1) | (base & 0xFFFFFF) << 16 |
				   0x89ull << 40 | (base >> 24 & 0xFF) << 56;
	a->gdt[SELECTOR_TSS / 8 + 1] = base >> 32;
	a->tss.io_map = sizeof(struct tss);
}

void desc_load(struct pcpu *p)
{
	struct table_pointer gdtr = {sizeof(p->arch->gdt) - 1, (u64)p->arch->gdt};
	struct table_pointer idtr = {(u16)(idt_size - 1), (u64)idt};

	gdt_fill(p->arch);
	__asm__ volatile("lgdt %0\n\t"
			 "pushq %1\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:\tmovl %2, %%ds\n\t"
			 "movl %2, %%es\n\t"
			 "movl %2, %%ss\n\t"
			 "movl %3, %%fs\n\t"
			 "movl %3, %%gs\n\t"
			 "lidt %4\n\t"
			 "ltr %w5"
			 :
			 : "m"(gdtr), "i"(SELECTOR_CODE), "r"(SELECTOR_DATA), "r"(0), "m"(idtr),
			 "r"(SELECTOR_TSS)
			 : "rax", "memory");
	msr_write(MSR_GS_BASE, (u64)p);
}
