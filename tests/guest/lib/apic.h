// SPDX-License-Identifier: MIT
// The local APIC in either mode, and the IOAPIC. Registers are named by their xAPIC offsets.
// Source: Intel SDM 3A chapter 11 (AMD APM 2 chapter 16); IOAPIC: 82093AA.
#pragma once

#include "lib/types.h"

#define APIC_ID         0x020
#define APIC_VERSION    0x030
#define APIC_TPR        0x080
#define APIC_PPR        0x0A0
#define APIC_EOI        0x0B0
#define APIC_LDR        0x0D0
#define APIC_DFR        0x0E0
#define APIC_SVR        0x0F0
#define APIC_ISR        0x100
#define APIC_TMR        0x180
#define APIC_IRR        0x200
#define APIC_ESR        0x280
#define APIC_ICR        0x300
#define APIC_ICR_HIGH   0x310
#define APIC_LVT_TIMER  0x320
#define APIC_LVT_LINT0  0x350
#define APIC_LVT_LINT1  0x360
#define APIC_LVT_ERROR  0x370
#define APIC_TIMER_INIT 0x380
#define APIC_TIMER_NOW  0x390
#define APIC_TIMER_DIV  0x3E0
#define APIC_SELF_IPI   0x3F0 // x2APIC only

#define APIC_FIXED     0x000
#define APIC_LOWEST    0x100
#define APIC_SMI       0x200
#define APIC_NMI       0x400
#define APIC_INIT      0x500
#define APIC_STARTUP   0x600
#define APIC_EXTINT    0x700
#define APIC_LOGICAL   BIT(11)
#define APIC_PENDING   BIT(12)
#define APIC_ASSERT    BIT(14)
#define APIC_LEVEL     BIT(15)
#define APIC_MASKED    BIT(16)
#define APIC_TO_SELF   (1u << 18)
#define APIC_TO_ALL    (2u << 18)
#define APIC_TO_OTHERS (3u << 18)
#define APIC_PERIODIC  BIT(17)
#define APIC_DEADLINE  BIT(18)

#define APIC_BASE_BSP BIT(8)
#define APIC_BASE_X2  BIT(10)
#define APIC_BASE_ON  BIT(11)
#define APIC_DEFAULT  0xFEE00000ull

#define SPURIOUS_VECTOR 0xFF

bool apic_is_x2(void);
bool apic_has_x2(void);
void apic_enter_x2(void);
void apic_leave_x2(void); // through "disabled"; the registers are then those of a reset

u32 apic_read(u32 reg);
void apic_write(u32 reg, u32 v);
u32 apic_id(void);

// Software-enables it with the spurious vector; masks nothing that reset has not masked.
void apic_enable(void);
void apic_eoi(void);
bool apic_bit(u32 bank, u32 vector); // bank: APIC_ISR, APIC_TMR or APIC_IRR

// Sends an IPI; icr is the low half. Waits until the APIC has taken it.
void apic_ipi(u32 dest, u32 icr);

#define IOAPIC_DEFAULT 0xFEC00000ull
#define IOAPIC_ID      0
#define IOAPIC_VERSION 1
#define IOAPIC_REDIR   0x10

#define REDIR_ACTIVE_LOW BIT(13)
#define REDIR_REMOTE_IRR BIT(14)
#define REDIR_LEVEL      BIT(15)
#define REDIR_MASKED     BIT(16)

u32 ioapic_read(u32 reg);
void ioapic_write(u32 reg, u32 v);
u32 ioapic_pins(void);
void ioapic_route(u32 pin, u32 low, u32 apic_id);

// Runs fn with all CPUs in xAPIC mode, then, where CPUID offers it, in x2APIC mode, then goes back. The
// other CPUs must be waiting for work.
void apic_each_mode(void (*fn)(const char *mode));
