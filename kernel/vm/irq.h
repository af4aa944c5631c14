// SPDX-License-Identifier: MIT
// The interrupt lines of the virtual PC: which chips' pins a device's line is wired to.
#pragma once

#include "lib/types.h"

struct vm;

// A line, by its number in the ACPI tables (GSI; 0-15 are the ISA lines), is asserted or released. ISA lines go to the
// PIC and the IOAPIC, IRQ 0 to the IOAPIC's pin 2. A number out of range is ignored. vm->lock held.
void vm_irq_set(struct vm *vm, unsigned irq, bool level);

// The PIC's output or its masks may have changed: lets vcpu 0 look, if an interrupt of the PIC reaches it. vm->lock held.
void vm_irq_pic_update(struct vm *vm);
