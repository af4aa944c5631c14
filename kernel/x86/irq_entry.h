/* SPDX-License-Identifier: MIT */
/* How many entries for interrupts of devices irq_entry.S has, and where they are: in groups, as the short jump of each leads to one
 * long jump at the group's end. */
#pragma once

#define IRQ_COUNT      208
#define IRQ_GROUP      26 /* entries of a group */
#define IRQ_ENTRY_SIZE 4  /* bytes */
#define IRQ_JUMP_SIZE  5

/* Of entry n, behind the first. */
#define IRQ_ENTRY(n) ((n)*IRQ_ENTRY_SIZE + (n) / IRQ_GROUP * IRQ_JUMP_SIZE)
