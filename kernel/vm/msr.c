// SPDX-License-Identifier: MIT
// MSR policy: what is on the lists below a guest has; everything else is #GP, and counted.
#include "kernel/vm/policy.h"
#include "kernel/vm/vm.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/regs.h"
#include "lib/errno.h"

enum {
	GUEST_TSC = 0x10,
	GUEST_PLATFORM_ID = 0x17,
	GUEST_UCODE_REV = 0x8b,
	GUEST_MTRR_CAP = 0xfe,
	GUEST_SYSENTER_CS = 0x174,
	GUEST_SYSENTER_ESP = 0x175,
	GUEST_SYSENTER_EIP = 0x176,
	GUEST_MCG_CAP = 0x179,
	GUEST_MCG_STATUS = 0x17a,
	GUEST_DEBUGCTL = 0x1d9,
	GUEST_MTRR_VAR = 0x200, // to 0x20f
	GUEST_PAT = 0x277,
	GUEST_MTRR_DEF_TYPE = 0x2ff,
	GUEST_STAR = 0xc0000081,
	GUEST_LSTAR = 0xc0000082,
	GUEST_CSTAR = 0xc0000083,
	GUEST_SFMASK = 0xc0000084,
	GUEST_FS_BASE = 0xc0000100,
	GUEST_GS_BASE = 0xc0000101,
	GUEST_KERNEL_GS_BASE = 0xc0000102,
	GUEST_TSC_AUX = 0xc0000103,
	GUEST_SYSCFG = 0xc0010010,
	GUEST_HWCR = 0xc0010015,
	GUEST_IORR = 0xc0010016, // to 0xc0010019
	GUEST_TOP_MEM = 0xc001001a,
	GUEST_TOP_MEM2 = 0xc001001d,
	GUEST_NB_CFG = 0xc001001f,
	GUEST_DE_CFG = 0xc0011029,
};

#define HWCR_TSC_FREQ_SEL BIT(24)
#define DE_CFG_LFENCE     BIT(1)
#define MTRR_VARIABLE     8

// Registers that only say something, always the same.
static const struct {
	u32 msr;
	u64 value;
	bool write_ignored; // else a write is #GP
} constant[] = {
	{GUEST_PLATFORM_ID, 0, false},
	{GUEST_UCODE_REV, 0x01000065, true},
	{GUEST_MTRR_CAP, 0x508, false}, // 8 variable, fixed ones, write-combining
	{GUEST_MCG_CAP, 0, false},
	{GUEST_MCG_STATUS, 0, true},
	{GUEST_DEBUGCTL, 0, true},
	{GUEST_SYSCFG, 0, true},
	{GUEST_HWCR, HWCR_TSC_FREQ_SEL, true},
	{GUEST_TOP_MEM, GPA_RAM_LOW_MAX, true},
	{GUEST_TOP_MEM2, 0, true},
	{GUEST_NB_CFG, 0, true},
	{GUEST_DE_CFG, DE_CFG_LFENCE, true},
};

// Registers that live in the vendor's control structure; most never exit.
static const struct {
	u32 msr;
	u8 reg;
	bool canonical; // an address
} state[] = {
	{GUEST_SYSENTER_CS, HVM_SYSENTER_CS, false},
	{GUEST_SYSENTER_ESP, HVM_SYSENTER_ESP, true},
	{GUEST_SYSENTER_EIP, HVM_SYSENTER_EIP, true},
	{GUEST_STAR, HVM_STAR, false},
	{GUEST_LSTAR, HVM_LSTAR, true},
	{GUEST_CSTAR, HVM_CSTAR, true},
	{GUEST_SFMASK, HVM_SFMASK, false},
	{GUEST_FS_BASE, HVM_FS_BASE, true},
	{GUEST_GS_BASE, HVM_GS_BASE, true},
	{GUEST_KERNEL_GS_BASE, HVM_KERNEL_GS_BASE, true},
};

static bool is_canonical(u64 v)
{
	return (u64)((s64)(v << 16) >> 16) == v;
}

// The eleven fixed-range MTRRs.
static int mtrr_fixed_index(u32 msr)
{
	if (msr == 0x250)
		return 0;
	if (msr == 0x258 || msr == 0x259)
		return (int)(msr - 0x258) + 1;
	return msr >= 0x268 && msr <= 0x26f ? (int)(msr - 0x268) + 3 : -1;
}

// Kept as written: what they say about caching the nested tables overrule.
static u64 *kept(struct vcpu *v, u32 msr)
{
	int fixed = mtrr_fixed_index(msr);

	if (fixed >= 0)
		return &v->mtrr_fixed[fixed];
	if (msr - GUEST_MTRR_VAR < 2 * MTRR_VARIABLE)
		return &v->mtrr_var[msr - GUEST_MTRR_VAR];
	return msr == GUEST_MTRR_DEF_TYPE ? &v->mtrr_def_type : NULL;
}

static bool mtrr_type_legal(u64 type)
{
	return type <= 6 && type != 2 && type != 3;
}

static bool kept_legal(u32 msr, u64 value)
{
	if (mtrr_fixed_index(msr) >= 0) {
		for (int i = 0; i < 8; i++)
			if (!mtrr_type_legal(value >> (8 * i) & 0xff))
				return false;
		return true;
	}
	if (msr == GUEST_MTRR_DEF_TYPE)
		return mtrr_type_legal(value & 0xff) && !(value & ~0xcffull);
	if (msr - GUEST_MTRR_VAR < 2 * MTRR_VARIABLE && !(msr & 1))
		return mtrr_type_legal(value & 0xff);
	return true;
}

static bool pat_legal(u64 value)
{
	for (int i = 0; i < 8; i++) {
		u64 type = value >> (8 * i) & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

// EFER.LMA follows from LME and CR0.PG; LME cannot change while paging is on (APM vol. 2, 3.1.7).
static int efer_write(struct vcpu *v, u64 value)
{
	u64 old = hvm->reg_get(v, HVM_EFER);
	u64 legal = EFER_SCE | EFER_LMA | (guest_features.long_mode ? EFER_LME : 0) |
		    (guest_features.nx ? EFER_NXE : 0);

	if (value & ~legal)
		return -EINVAL;
	if (((value ^ old) & EFER_LME) && (hvm->reg_get(v, HVM_CR0) & CR0_PG))
		return -EINVAL;
	hvm->reg_set(v, HVM_EFER, (value & ~EFER_LMA) | (old & EFER_LMA));
	return 0;
}

static int tsc_write(struct vcpu *v, u64 value)
{
	// One offset for a whole VM keeps its clocks together; Linux writes what it read, so this
	// is ignored.
	(void)v;
	(void)value;
	return 0;
}

static int find_constant(u32 msr)
{
	for (size_t i = 0; i < ARRAY_SIZE(constant); i++)
		if (constant[i].msr == msr)
			return (int)i;
	return -1;
}

static int find_state(u32 msr)
{
	for (size_t i = 0; i < ARRAY_SIZE(state); i++)
		if (state[i].msr == msr)
			return (int)i;
	return -1;
}

static int rare_read(struct vcpu *v, u32 msr, u64 *value)
{
	int i = find_constant(msr);
	const u64 *p = kept(v, msr);

	if (i >= 0)
		*value = constant[i].value;
	else if (p)
		*value = *p;
	else if ((i = find_state(msr)) >= 0)
		*value = hvm->reg_get(v, state[i].reg);
	else if (msr - GUEST_IORR < 4)
		*value = 0;
	else if (msr == GUEST_PAT)
		*value = hvm->reg_get(v, HVM_PAT);
	else if (msr == GUEST_TSC)
		*value = vm_tsc(v->vm);
	else if (msr == GUEST_TSC_AUX && guest_features.rdtscp)
		*value = v->tsc_aux;
	else
		return -EINVAL;
	return 0;
}

static int tsc_aux_write(struct vcpu *v, u64 value)
{
	if (!guest_features.rdtscp || value >> 32)
		return -EINVAL;
	v->tsc_aux = value;
	msr_write(GUEST_TSC_AUX, value);
	return 0;
}

static int rare_write(struct vcpu *v, u32 msr, u64 value)
{
	int i = find_constant(msr);
	u64 *p = kept(v, msr);

	if (i >= 0)
		return constant[i].write_ignored ? 0 : -EINVAL;
	if (p) {
		if (!kept_legal(msr, value))
			return -EINVAL;
		*p = value;
		return 0;
	}
	i = find_state(msr);
	if (i >= 0) {
		if (state[i].canonical && !is_canonical(value))
			return -EINVAL;
		hvm->reg_set(v, state[i].reg, value);
		return 0;
	}
	if (msr == GUEST_PAT && pat_legal(value)) {
		hvm->reg_set(v, HVM_PAT, value);
		return 0;
	}
	if (msr == GUEST_TSC)
		return tsc_write(v, value);
	if (msr == GUEST_TSC_AUX)
		return tsc_aux_write(v, value);
	return msr - GUEST_IORR < 4 ? 0 : -EINVAL;
}

static bool is_lapic(u32 msr)
{
	return msr - 0x800 < 0x100 || msr == 0x1b || msr == 0x6e0;
}
static bool is_paravirtual(u32 msr)
{
	return msr - 0x4b564d00 < 0x100 || msr == 0x11 || msr == 0x12;
}

int msr_guest_read(struct vcpu *v, u32 msr, u64 *value)
{
	if (is_lapic(msr))
		return vlapic_msr_read(v, msr, value);
	if (msr == MSR_EFER) {
		*value = hvm->reg_get(v, HVM_EFER);
		return 0;
	}
	if (is_paravirtual(msr))
		return vpv_msr_read(v, msr, value);
	return rare_read(v, msr, value);
}

int msr_guest_write(struct vcpu *v, u32 msr, u64 value)
{
	if (is_lapic(msr))
		return vlapic_msr_write(v, msr, value);
	if (msr == MSR_EFER)
		return efer_write(v, value);
	if (is_paravirtual(msr))
		return vpv_msr_write(v, msr, value);
	return rare_write(v, msr, value);
}
