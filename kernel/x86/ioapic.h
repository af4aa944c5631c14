// SPDX-License-Identifier: MIT
// The physical interrupt controllers outside of the processor.
#pragma once

#include "kernel/x86/acpi.h"

// Masks the two old PICs for good. To be done while the local APIC still lets their interrupts
// through, as the firmware left it: QEMU does not take back a request of the PIC that it cannot see
// any more.
void pic_silence(void);

// Masks every input of every IOAPIC.
void irq_init(const struct acpi_info *acpi);

// Sends an ISA interrupt (0..15) as `vector` to one CPU; false when no IOAPIC has it.
bool irq_route_isa(u32 irq, u8 vector, u32 apic_id);
