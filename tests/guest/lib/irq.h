// SPDX-License-Identifier: MIT
// Interrupts that are only counted, per CPU and in the order of their arrival.
#pragma once

#include "lib/types.h"

// Counts a vector from now on (from 0) and ends each with an EOI to the local APIC (NMI: none).
void irq_count(u32 vector);

u32 irq_hits(u32 vector);             // on all CPUs
u32 irq_hits_on(u32 cpu, u32 vector); // on one
void irq_forget(u32 vector);          // back to 0

// The last vectors that this CPU has taken, oldest first, at most n; returns how many; then forgets them.
u32 irq_order(u8 *vectors, u32 n);
