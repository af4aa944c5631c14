// SPDX-License-Identifier: MIT
// Vectors for the interrupts of devices that the kernel drives itself.
#pragma once

#include "lib/types.h"

struct pcpu;

// Where a message-signalled interrupt goes (SDM vol. 3, 10.11).
struct irq_message {
	u64 address;
	u32 data;
};

// Called on the vector's CPU with interrupts off, from the interrupt itself; those are taken only where
// no lock is held (arch_idle, arch_take_interrupts), so it may take any lock. It must be short and bounded.
typedef void irq_fn(void *arg);

// A vector of its own on CPU p: fn(arg) for each interrupt. Gives the message that raises it; its number,
// or -ENOSPC (all are used, or the CPU's APIC id needs interrupt remapping), or -ENOMEM. For start only.
int irq_alloc(struct pcpu *p, irq_fn *fn, void *arg, struct irq_message *out);

// From now on all interrupts of devices, with the vectors IRQ_FIRST to IRQ_LAST, are passed on to fn, on the CPU that they
// reach and with interrupts off; their end is told to the local APIC behind it. Instead of irq_alloc. For start only.
#define IRQ_FIRST 0x20u
#define IRQ_LAST  (IRQ_FIRST + 207u)
void irq_pass_on(void (*fn)(u8 vector));
