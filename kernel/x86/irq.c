// SPDX-License-Identifier: MIT
// Vectors for the interrupts of devices that the kernel drives itself. The same vector is used on every
// CPU, so a message that reaches another CPU than meant is still handled.
#include "kernel/x86/irq.h"
#include "kernel/core/frame.h"
#include "kernel/core/pcpu.h"
#include "kernel/x86/irq_entry.h"
#include "kernel/x86/lapic.h"
#include "kernel/x86/trap.h"
#include "lib/errno.h"

#define MSI_ADDRESS 0xFEE00000ull
#define APIC_ID_MAX 254 // more does not fit into a message without interrupt remapping

struct irq {
	irq_fn *fn;
	void *arg;
};

static struct irq *irqs; // IRQ_COUNT of them, when there is one
static u32 used;
static void (*passed_on)(u8 vector);

extern const char irq_entries[];

// Called by irq_entry.S.
void irq_dispatch(u64 n);

void irq_dispatch(u64 n)
{
	if (passed_on) {
		passed_on((u8)(IRQ_FIRST + n));
		lapic_eoi();
		return;
	}
	lapic_eoi(); // first: what the device sends from now on comes again
	irqs[n].fn(irqs[n].arg);
}

int irq_alloc(struct pcpu *p, irq_fn *fn, void *arg, struct irq_message *out)
{
	u32 n = used;

	if (n == IRQ_COUNT || p->apic_id > APIC_ID_MAX)
		return -ENOSPC;
	if (!irqs)
		irqs = kmem_alloc(IRQ_COUNT * sizeof(*irqs), FRAME_OWNER_KERNEL);
	if (!irqs)
		return -ENOMEM;
	used++;
	irqs[n] = (struct irq){fn, arg};
	idt_set(IRQ_FIRST + n, irq_entries + IRQ_ENTRY(n));
	*out = (struct irq_message){MSI_ADDRESS | p->apic_id << 12, IRQ_FIRST + n};
	return (int)(IRQ_FIRST + n);
}

_Static_assert(IRQ_LAST - IRQ_FIRST + 1 == IRQ_COUNT, "an entry for each");
_Static_assert(IRQ_COUNT % IRQ_GROUP == 0, "whole groups");

void irq_pass_on(void (*fn)(u8 vector))
{
	passed_on = fn;
	for (u32 n = 0; n < IRQ_COUNT; n++)
		idt_set(IRQ_FIRST + n, irq_entries + IRQ_ENTRY(n));
}
