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

// A pin of the machine, by its global number: its redirection entry (82093AA datasheet, 3.2.4) as it is from now on, or only
// its mask. What no IOAPIC has is ignored. Callers see to it that two CPUs do not do so at once.
void ioapic_pin_set(u32 gsi, u64 entry);
void ioapic_pin_mask(u32 gsi, bool masked);
#define IOAPIC_MASKED 0x10000u

// Sends an ISA interrupt (0..15) as `vector` to one CPU; false when no IOAPIC has it.
bool irq_route_isa(u32 irq, u8 vector, u32 apic_id);
