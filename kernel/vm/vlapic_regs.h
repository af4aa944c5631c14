// SPDX-License-Identifier: MIT
// What the files of the virtual local APIC share: register numbers (SDM table 10-6; offset / 16) and their bits.
#pragma once

#include "kernel/vm/vlapic.h"

enum apic_reg {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_APR = 0x09,
	REG_PPR = 0x0a,
	REG_EOI = 0x0b,
	REG_LDR = 0x0d,
	REG_DFR = 0x0e,
	REG_SVR = 0x0f,
	REG_ISR = 0x10, // to 0x17
	REG_TMR = 0x18, // to 0x1f
	REG_IRR = 0x20, // to 0x27
	REG_ESR = 0x28,
	REG_ICR = 0x30,
	REG_ICR_HIGH = 0x31,
	REG_LVT = 0x32, // to 0x37
	REG_TIMER_INITIAL = 0x38,
	REG_TIMER_CURRENT = 0x39,
	REG_TIMER_DIVIDE = 0x3e,
	REG_SELF_IPI = 0x3f,
	REG_COUNT = 0x40
};

#define MSR_APIC_BASE    0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC       0x800

#define BASE_BSP    BIT(8)
#define BASE_X2APIC BIT(10)
#define BASE_ENABLE BIT(11)

#define SVR_ENABLE       0x100u
#define SVR_EOI_SUPPRESS 0x1000u // no EOI broadcast to the IOAPIC

enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR };

#define LVT_MASKED         0x10000u
#define LVT_MODE(lvt)      ((lvt) >> 8 & 7)
#define LVT_TIMER_MODE     0x60000u
#define LVT_TIMER_ONESHOT  0u
#define LVT_TIMER_PERIODIC 0x20000u
#define LVT_TIMER_DEADLINE 0x40000u

#define ESR_SEND_VECTOR    0x20u
#define ESR_RECEIVE_VECTOR 0x40u
#define ESR_REGISTER       0x80u

// All but the last are the owner's.
void vlapic_timer_init(struct vcpu *v);
void vlapic_timer_reset(struct vcpu *v);            // stops it
void vlapic_timer_lvt_set(struct vcpu *v, u32 lvt); // a new LVT entry of the timer
void vlapic_timer_initial_set(struct vcpu *v, u32 count);
u32 vlapic_timer_current(const struct vcpu *v);
void vlapic_timer_divide_set(struct vcpu *v, u32 dcr);
void vlapic_timer_deadline_set(struct vcpu *v, u64 guest_tsc);
u64 vlapic_timer_deadline(const struct vcpu *v); // 0: not armed, or gone off
void vlapic_icr_send(struct vcpu *v, u32 low, u32 dest);
void vlapic_error(struct vcpu *v, u32 bits); // records ESR bits; any CPU

static inline bool vlapic_hard_enabled(const struct vlapic *l)
{
	return READ_ONCE(l->base) & BASE_ENABLE;
}

static inline bool vlapic_x2apic(const struct vlapic *l)
{
	return READ_ONCE(l->base) & BASE_X2APIC;
}

static inline bool vlapic_soft_enabled(const struct vlapic *l)
{
	return READ_ONCE(l->svr) & SVR_ENABLE;
}

// The highest bit set of 256, -1: none. Written out: it stands in every entry's and every EOI's way.
static inline int bits256_highest(const u64 *w)
{
	u64 x;

	if ((x = READ_ONCE(w[3])))
		return 255 - __builtin_clzll(x);
	if ((x = READ_ONCE(w[2])))
		return 191 - __builtin_clzll(x);
	if ((x = READ_ONCE(w[1])))
		return 127 - __builtin_clzll(x);
	if ((x = READ_ONCE(w[0])))
		return 63 - __builtin_clzll(x);
	return -1;
}

static inline bool bits256_any(const u64 *w)
{
	return (READ_ONCE(w[0]) | READ_ONCE(w[1]) | READ_ONCE(w[2]) | READ_ONCE(w[3])) != 0;
}

static inline bool bits256_test(const u64 *w, u8 bit)
{
	return READ_ONCE(w[bit / 64]) >> (bit % 64) & 1;
}
