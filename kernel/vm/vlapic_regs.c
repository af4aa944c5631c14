// SPDX-License-Identifier: MIT
// The virtual local APIC's registers, as the guest reads and writes them: register page, x2APIC MSRs, APIC base.
#include "kernel/vm/vm.h"
#include "kernel/vm/vlapic_regs.h"
#include "lib/errno.h"

// Version 0x15, the number of the last LVT entry, and "EOI broadcast can be suppressed".
#define VLAPIC_VERSION (0x15u | (VLAPIC_LVTS - 1) << 16 | 1u << 24)

// What a guest may write, by LVT entry.
static const u32 lvt_writable[VLAPIC_LVTS] = {
	[LVT_TIMER] = 0xffu | LVT_MASKED | LVT_TIMER_MODE,
	[LVT_THERMAL] = 0x7ffu | LVT_MASKED,
	[LVT_PERF] = 0x7ffu | LVT_MASKED,
	[LVT_LINT0] = 0xa7ffu | LVT_MASKED,
	[LVT_LINT1] = 0xa7ffu | LVT_MASKED,
	[LVT_ERROR] = 0xffu | LVT_MASKED,
};

#define SVR_WRITABLE (0xffu | SVR_ENABLE | SVR_EOI_SUPPRESS)
#define ICR_WRITABLE 0xccfffu // without the delivery status, bit 12

static u32 x2apic_ldr(const struct vcpu *v)
{
	return (vcpu_apic_id(v) >> 4) << 16 | 1u << (vcpu_apic_id(v) & 15);
}

static u32 bits256_word(const u64 *w, unsigned i)
{
	return (u32)(READ_ONCE(w[i / 2]) >> (i % 2 * 32));
}

// A register that both modes have and that reads the same in both.
static u32 reg_read(const struct vcpu *v, unsigned reg)
{
	const struct vlapic *l = &v->lapic;

	if (reg >= REG_ISR && reg < REG_ISR + 8)
		return bits256_word(l->isr, reg - REG_ISR);
	if (reg >= REG_TMR && reg < REG_TMR + 8)
		return bits256_word(l->tmr, reg - REG_TMR);
	if (reg >= REG_IRR && reg < REG_IRR + 8)
		return bits256_word(l->irr, reg - REG_IRR);
	if (reg >= REG_LVT && reg < REG_LVT + VLAPIC_LVTS)
		return l->lvt[reg - REG_LVT];
	switch (reg) {
	case REG_VERSION:
		return VLAPIC_VERSION;
	case REG_TPR:
		return l->tpr;
	case REG_PPR:
		return l->ppr;
	case REG_SVR:
		return l->svr;
	case REG_ESR:
		return l->esr;
	case REG_TIMER_INITIAL:
		return l->timer_initial;
	case REG_TIMER_CURRENT:
		return vlapic_timer_current(v);
	case REG_TIMER_DIVIDE:
		return l->timer_dcr;
	default:
		return 0;
	}
}

static void lvt_write(struct vcpu *v, unsigned i, u32 value)
{
	value &= lvt_writable[i];
	if (!vlapic_soft_enabled(&v->lapic))
		value |= LVT_MASKED;
	if (i == LVT_TIMER)
		vlapic_timer_lvt_set(v, value);
	else
		WRITE_ONCE(v->lapic.lvt[i], value);
	if (i == LVT_LINT0 && !(value & LVT_MASKED))
		atomic_or(&v->events, (u64)VCPU_LAPIC); // an interrupt of the PIC may wait
}

static void svr_write(struct vcpu *v, u32 value)
{
	WRITE_ONCE(v->lapic.svr, value & SVR_WRITABLE);
	if (value & SVR_ENABLE)
		return;
	// Disabled by software: all LVT entries are masked (SDM 10.4.7.2).
	for (unsigned i = 0; i < VLAPIC_LVTS; i++)
		lvt_write(v, i, v->lapic.lvt[i]);
}

// A register that both modes have and that is written the same in both; false: it is not one of these.
static bool reg_write(struct vcpu *v, unsigned reg, u32 value)
{
	struct vlapic *l = &v->lapic;

	if (reg >= REG_LVT && reg < REG_LVT + VLAPIC_LVTS) {
		lvt_write(v, reg - REG_LVT, value);
		return true;
	}
	switch (reg) {
	case REG_TPR:
		vlapic_tpr_set(v, (u8)value);
		return true;
	case REG_SVR:
		svr_write(v, value);
		return true;
	case REG_ESR: // a write shows what came since the last one
		l->esr = atomic_exchange(&l->esr_pending, 0);
		return true;
	case REG_TIMER_INITIAL:
		vlapic_timer_initial_set(v, value);
		return true;
	case REG_TIMER_DIVIDE:
		vlapic_timer_divide_set(v, value);
		return true;
	default:
		return false;
	}
}

// ---------------------------------------------------------------- the register page (xAPIC)

bool vlapic_mmio_enabled(const struct vcpu *v, gpa_t *base)
{
	*base = gpa(v->lapic.base & ~0xfffull);
	return (v->lapic.base & (BASE_ENABLE | BASE_X2APIC)) == BASE_ENABLE;
}

// Reserved addresses (SDM table 10-1). Not counted: what is write-only, or read-only.
static bool reg_exists(unsigned reg)
{
	return reg == REG_ID || reg == REG_VERSION ||
	       (reg >= REG_TPR && reg <= REG_ESR && reg != 0x0c) ||
	       (reg >= REG_ICR && reg <= REG_TIMER_CURRENT) || reg == REG_TIMER_DIVIDE;
}

u32 vlapic_mmio_read(struct vcpu *v, u32 offset)
{
	const struct vlapic *l = &v->lapic;
	unsigned reg = offset >> 4;

	if (offset & 0xf)
		return 0;
	switch (reg) {
	case REG_ID:
		return vcpu_apic_id(v) << 24;
	case REG_LDR:
		return l->ldr;
	case REG_DFR:
		return l->dfr;
	case REG_ICR:
		return (u32)l->icr;
	case REG_ICR_HIGH:
		return (u32)(l->icr >> 32);
	default:
		if (!reg_exists(reg))
			vlapic_error(v, ESR_REGISTER);
		return reg_read(v, reg);
	}
}

void vlapic_mmio_write(struct vcpu *v, u32 offset, u32 value)
{
	struct vlapic *l = &v->lapic;
	unsigned reg = offset >> 4;

	if (offset == REG_EOI << 4) {
		vlapic_eoi(v);
		return;
	}
	if ((offset & 0xf) || reg_write(v, reg, value))
		return;
	switch (reg) {
	case REG_LDR:
		WRITE_ONCE(l->ldr, value & 0xff000000);
		if (v->vm->machine)
			v->vm->machine->logical_id_changed(v);
		break;
	case REG_DFR:
		WRITE_ONCE(l->dfr, value | 0x0fffffff);
		if (v->vm->machine)
			v->vm->machine->logical_id_changed(v);
		break;
	case REG_ICR:
		l->icr = (l->icr & ~0xffffffffull) | (value & ICR_WRITABLE);
		vlapic_icr_send(v, value, apic_dest8((u8)(l->icr >> 56)));
		break;
	case REG_ICR_HIGH:
		l->icr = (u32)l->icr | (u64)(value & 0xff000000) << 32;
		break;
	default:
		if (!reg_exists(reg))
			vlapic_error(v, ESR_REGISTER);
	}
}

// ---------------------------------------------------------------- MSRs

#define BASE_RESERVED (0x2ffull | ~0ull << 52)

// Modes change disabled -> xAPIC -> x2APIC -> disabled, and xAPIC -> disabled; nothing else (SDM 10.12.5). The BSP
// flag cannot be changed here.
static int base_write(struct vcpu *v, u64 value)
{
	struct vlapic *l = &v->lapic;
	const u64 mode = BASE_ENABLE | BASE_X2APIC;
	u64 from = l->base & mode, to = value & mode;

	if ((value & BASE_RESERVED) || to == BASE_X2APIC)
		return -EINVAL;
	if ((from == mode && to == BASE_ENABLE) || (from == 0 && to == mode))
		return -EINVAL;
	if (from && !to)
		vlapic_reset(v, true);
	WRITE_ONCE(l->base, (value & ~BASE_BSP) | (l->base & BASE_BSP));
	if (to == mode && from != mode)
		l->icr = 0;
	if (to != from)
		atomic_or(&v->events, (u64)VCPU_LAPIC); // the PIC may reach it now, or no longer
	return 0;
}

static int x2apic_read(struct vcpu *v, unsigned reg, u64 *value)
{
	switch (reg) {
	case REG_ID:
		*value = vcpu_apic_id(v);
		return 0;
	case REG_LDR:
		*value = x2apic_ldr(v);
		return 0;
	case REG_ICR:
		*value = v->lapic.icr;
		return 0;
	case REG_APR:
	case REG_EOI:
	case REG_DFR:
	case REG_ICR_HIGH:
		return -EINVAL;
	default:
		if (!reg_exists(reg))
			return -EINVAL;
		*value = reg_read(v, reg);
		return 0;
	}
}

// Bits that may be set in a write; 0 for ESR, which takes nothing else. False: not a register to write.
static bool x2apic_writable(unsigned reg, u64 *bits)
{
	if (reg >= REG_LVT && reg < REG_LVT + VLAPIC_LVTS) {
		// The delivery status, bit 12, and remote IRR, bit 14, are read-only and ignored.
		*bits = lvt_writable[reg - REG_LVT] | 0x5000;
		return true;
	}
	switch (reg) {
	case REG_TPR:
		*bits = 0xff;
		return true;
	case REG_ESR:
		*bits = 0;
		return true;
	case REG_SVR:
		*bits = SVR_WRITABLE | 0x200; // focus checking: accepted, not there
		return true;
	case REG_TIMER_INITIAL:
		*bits = 0xffffffff;
		return true;
	case REG_TIMER_DIVIDE:
		*bits = 0xb;
		return true;
	default:
		return false;
	}
}

static int x2apic_write(struct vcpu *v, unsigned reg, u64 value)
{
	u64 bits;

	if (reg == REG_EOI) {
		if (value)
			return -EINVAL;
		vlapic_eoi(v);
		return 0;
	}
	if (reg == REG_ICR) {
		if ((u32)value & ~(ICR_WRITABLE | 0x1000))
			return -EINVAL;
		v->lapic.icr = value & ~0x1000ull;
		vlapic_icr_send(v, (u32)value, (u32)(value >> 32));
		return 0;
	}
	if (reg == REG_SELF_IPI) {
		if (value > 0xff)
			return -EINVAL;
		vlapic_icr_send(v, (u32)value, vcpu_apic_id(v));
		return 0;
	}
	if (!x2apic_writable(reg, &bits) || (value & ~bits))
		return -EINVAL;
	reg_write(v, reg, (u32)value);
	return 0;
}

int vlapic_msr_read(struct vcpu *v, u32 msr, u64 *value)
{
	if (msr == MSR_APIC_BASE) {
		*value = v->lapic.base;
		return 0;
	}
	if (msr == MSR_TSC_DEADLINE) {
		*value = vlapic_timer_deadline(v);
		return 0;
	}
	if (msr - MSR_X2APIC >= REG_COUNT || !vlapic_x2apic(&v->lapic))
		return -EINVAL;
	return x2apic_read(v, msr - MSR_X2APIC, value);
}

int vlapic_msr_write(struct vcpu *v, u32 msr, u64 value)
{
	if (msr == MSR_TSC_DEADLINE) {
		vlapic_timer_deadline_set(v, value);
		return 0;
	}
	if (msr == MSR_APIC_BASE)
		return base_write(v, value);
	if (msr - MSR_X2APIC >= REG_COUNT || !vlapic_x2apic(&v->lapic))
		return -EINVAL;
	return x2apic_write(v, msr - MSR_X2APIC, value);
}
