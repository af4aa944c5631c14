// SPDX-License-Identifier: MIT
// The physical local APIC, by MMIO (xAPIC) or by MSR (x2APIC, where the processor has it).
#pragma once

#include "lib/addr.h"

// Chooses how the APICs are spoken to; once, on the boot CPU, before the other functions.
void lapic_init(hpa_t base);

// Switches this CPU's APIC on, everything in it masked but our interrupts.
void lapic_init_cpu(void);

// Messages with a logical destination are matched with these (SDM vol. 3, 10.6.2.2); without effect on an x2APIC.
void lapic_set_logical(u32 format, u32 id);

// Was the last interrupt of this vector that this CPU accepted level triggered?
bool lapic_was_level(u8 vector);

bool lapic_is_x2apic(void);
u32 lapic_id(void);
void lapic_eoi(void);

// Sends to one CPU; waits (bounded) until the last message has left.
void lapic_send(u32 apic_id, u32 command);
void lapic_nmi_others(void); // harmless before lapic_init

#define LAPIC_INIT    0x4500u // command: INIT, assert
#define LAPIC_STARTUP 0x4600u // | page number of the code

// The one-shot timer: counts of the APIC's own clock; 0 stops it. The deadline mode of the TSC is
// used where it is there.
void lapic_timer_count(u32 count);
u32 lapic_timer_current(void);
