// SPDX-License-Identifier: MIT
// Interrupt lines for tests of single chips: levels and rising edges are noted.
#pragma once

#include "tests/unit/pc_fake.h"

static bool irq0_visible = true;
static unsigned irq0_latched;

void vm_irq_set(struct vm *v, unsigned irq, bool level)
{
	(void)v;
	if (irq >= ARRAY_SIZE(irq_level))
		return;
	irq_rises[irq] += level && !irq_level[irq];
	irq_level[irq] = level;
}

bool pc_irq0_visible(const struct vm *v)
{
	(void)v;
	return irq0_visible;
}

void pc_irq0_latch(struct vm *v)
{
	(void)v;
	irq0_latched++;
}
