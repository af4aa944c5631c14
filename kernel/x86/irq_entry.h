/* SPDX-License-Identifier: MIT */
/* How many entries for interrupts of devices irq_entry.S has, and their size in bytes. */
#pragma once

#define IRQ_COUNT      208
#define IRQ_ENTRY_SIZE 8
