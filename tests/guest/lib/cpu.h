// SPDX-License-Identifier: MIT
// The processor's instructions that C has no name for, and names for its registers' bits.
#pragma once

#include "lib/types.h"

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR4_PSE        BIT(4)
#define CR4_PAE        BIT(5)
#define CR4_OSFXSR     BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_PCIDE      BIT(17)
#define CR4_OSXSAVE    BIT(18)

#define EFER_SCE  BIT(0)
#define EFER_LME  BIT(8)
#define EFER_LMA  BIT(10)
#define EFER_NXE  BIT(11)
#define EFER_SVME BIT(12)

#define MSR_TSC          0x10
#define MSR_APIC_BASE    0x1B
#define MSR_TSC_DEADLINE 0x6E0
#define MSR_X2APIC       0x800
#define MSR_EFER         0xC0000080
#define MSR_FS_BASE      0xC0000100
#define MSR_GS_BASE      0xC0000101

#define FLAG_TF BIT(8)
#define FLAG_IF BIT(9)

enum {
	VEC_DE = 0,
	VEC_DB = 1,
	VEC_NMI = 2,
	VEC_BP = 3,
	VEC_UD = 6,
	VEC_NM = 7,
	VEC_DF = 8,
	VEC_TS = 10,
	VEC_NP = 11,
	VEC_SS = 12,
	VEC_GP = 13,
	VEC_PF = 14,
	VEC_AC = 17,
	VEC_MC = 18,
};

struct regs4 {
	u32 a, b, c, d;
};

static inline struct regs4 cpuid(u32 leaf, u32 sub)
{
	struct regs4 r;

	__asm__ volatile("cpuid"
			 : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
			 : "a"(leaf), "c"(sub));
	return r;
}

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (u64)hi << 32 | lo;
}

static inline void wrmsr(u32 msr, u64 v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (u64)hi << 32 | lo;
}

#define CPU_IN_OUT(suffix, type)                                                                   \
	static inline type in##suffix(u16 port)                                                    \
	{                                                                                          \
		type v;                                                                            \
		__asm__ volatile("in %1, %0" : "=a"(v) : "Nd"(port) : "memory");                   \
		return v;                                                                          \
	}                                                                                          \
	static inline void out##suffix(u16 port, type v)                                           \
	{                                                                                          \
		__asm__ volatile("out %0, %1" : : "a"(v), "Nd"(port) : "memory");                  \
	}
CPU_IN_OUT(b, u8)
CPU_IN_OUT(w, u16)
CPU_IN_OUT(l, u32)

#define CPU_REGISTER(reg)                                                                          \
	static inline u64 read_##reg(void)                                                         \
	{                                                                                          \
		u64 v;                                                                             \
		__asm__ volatile("mov %%" #reg ", %0" : "=r"(v) : : "memory");                     \
		return v;                                                                          \
	}                                                                                          \
	static inline void write_##reg(u64 v)                                                      \
	{                                                                                          \
		__asm__ volatile("mov %0, %%" #reg : : "r"(v) : "memory");                         \
	}
CPU_REGISTER(cr0)
CPU_REGISTER(cr2)
CPU_REGISTER(cr3)
CPU_REGISTER(cr4)
CPU_REGISTER(cr8)
CPU_REGISTER(dr0)
CPU_REGISTER(dr1)
CPU_REGISTER(dr2)
CPU_REGISTER(dr3)
CPU_REGISTER(dr6)
CPU_REGISTER(dr7)

struct __attribute__((packed)) table_ptr {
	u16 limit;
	u64 base;
};

static inline void lgdt(const struct table_ptr *p)
{
	__asm__ volatile("lgdt %0" : : "m"(*p));
}
static inline void lidt(const struct table_ptr *p)
{
	__asm__ volatile("lidt %0" : : "m"(*p));
}
static inline void sgdt(struct table_ptr *p)
{
	__asm__ volatile("sgdt %0" : "=m"(*p));
}
static inline void sidt(struct table_ptr *p)
{
	__asm__ volatile("sidt %0" : "=m"(*p));
}
static inline void ltr(u16 sel)
{
	__asm__ volatile("ltr %0" : : "r"(sel) : "memory");
}

static inline void irq_enable(void)
{
	__asm__ volatile("sti" : : : "memory");
}
static inline void irq_disable(void)
{
	__asm__ volatile("cli" : : : "memory");
}
static inline void cpu_relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

// Lets pending interrupts in for a moment; the nop is the window after STI's shadow.
static inline void irq_window(void)
{
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
}

// Sleeps until an interrupt has been taken; interrupts are off before and after.
static inline void irq_wait(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}
