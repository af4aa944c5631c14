// SPDX-License-Identifier: MIT
// Instructions of the processor as functions, its control bits, and what this machine's processor
// can do.
#pragma once

#include "kernel/x86/regs.h"
#include "lib/types.h"

#define MSR_APIC_BASE    0x1Bu
#define MSR_TSC_DEADLINE 0x6E0u
#define MSR_X2APIC       0x800u
#define MSR_EFER         0xC0000080u
#define MSR_FS_BASE      0xC0000100u
#define MSR_GS_BASE      0xC0000101u

struct cpuid {
	u32 eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

static inline u64 msr_read(u32 msr)
{
	u32 lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (u64)hi << 32 | lo;
}

static inline void msr_write(u32 msr, u64 v)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

// False when the processor answers with #GP.
bool msr_read_safe(u32 msr, u64 *v);
bool msr_write_safe(u32 msr, u64 v);

#define CR_ACCESSORS(n)                                                                            \
	static inline u64 cr##n##_read(void)                                                       \
	{                                                                                          \
		u64 v;                                                                             \
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(v));                                  \
		return v;                                                                          \
	}                                                                                          \
	static inline void cr##n##_write(u64 v)                                                    \
	{                                                                                          \
		__asm__ volatile("mov %0, %%cr" #n ::"r"(v) : "memory");                           \
	}

CR_ACCESSORS(0)
CR_ACCESSORS(2)
CR_ACCESSORS(3)
CR_ACCESSORS(4)

static inline u64 xcr_read(u32 index)
{
	u32 lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(index));
	return (u64)hi << 32 | lo;
}

static inline void xcr_write(u32 index, u64 v)
{
	__asm__ volatile("xsetbv" ::"c"(index), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static inline u64 tsc_read(void)
{
	u32 lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

static inline u64 rflags_read(void)
{
	u64 v;

	__asm__ volatile("pushfq; pop %0" : "=r"(v));
	return v;
}

static inline void tlb_flush_page(const void *p)
{
	__asm__ volatile("invlpg (%0)" ::"r"(p) : "memory");
}

// Stops this CPU for good.
static inline _Noreturn void cpu_halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt" ::: "memory");
}

// Found once at start, the same on all CPUs.
struct cpu_info {
	char vendor[13];
	char model[49];
	u32 max_leaf;
	u32 max_extended;
	u32 family, model_number, stepping;
	u8 phys_bits;
	bool svm, npt, vmx;
	bool x2apic, tsc_deadline;
	bool tsc_invariant;
	bool page_1g, nx, smep, smap, umip;
	bool xsave, xsaveopt;
	bool rdrand;
	bool rdtscp;
	bool emulated;   // by QEMU's TCG, whose quirks need care
	bool hypervisor; // we run under one ourselves
};

extern struct cpu_info cpu_info;

void cpu_identify(void); // fills cpu_info; before anything that looks at it
void cpu_protect(void);  // this CPU: NX, WP, SMEP, SMAP, UMIP, global pages
void cpu_log_features(void);
