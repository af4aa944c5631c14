// SPDX-License-Identifier: MIT
// CPUID policy: a guest gets the features on these lists that the processor has, and what Mezzanine
// adds itself. What is on no list is zero. Sources: APM vol. 3 appendix E, Intel SDM vol. 2 CPUID.
#include "kernel/vm/policy.h"
#include "kernel/vm/vm.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/regs.h"
#include "lib/string.h"

#define ALLOW_1_ECX                                                                                \
	0x76d83203u // SSE3 PCLMUL SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND
#define ALLOW_1_EDX                                                                                \
	0x178bfbffu // all but DS, ACPI, SS, TM, IA64, PBE; with CLFLUSH, MMX, FXSR, SSE, SSE2, HTT
#define ALLOW_7_EBX                                                                                \
	0x219c03a9u // FSGSBASE BMI1 AVX2 SMEP BMI2 ERMS RDSEED ADX SMAP CLFLUSHOPT CLWB SHA
#define ALLOW_7_ECX   0x00400700u // UMIP is added below; GFNI VAES VPCLMUL RDPID
#define ALLOW_7_EDX   0x00000010u // FSRM
#define ALLOW_81_ECX  0x000001f1u // LAHF CR8 LZCNT SSE4A MISALIGNSSE 3DNOWPREFETCH
#define ALLOW_81_EDX  0x2c500800u // SYSCALL NX MMXEXT 1G pages RDTSCP LM
#define MIRROR_81_EDX 0x0183f3ffu // bits that say the same as in leaf 1
#define ALLOW_D1_EAX  0x00000005u // XSAVEOPT XGETBV(1)
#define ALLOW_88_EBX  0x00000005u // CLZERO, XSAVEERPTR

#define F1_ECX_X2APIC     BIT(21)
#define F1_ECX_DEADLINE   BIT(24)
#define F1_ECX_OSXSAVE    BIT(27)
#define F1_ECX_HYPERVISOR BIT(31)
#define F1_ECX_XSAVE      BIT(26)
#define F1_ECX_NEED_XSAVE 0x30001000u // AVX, F16C, FMA
#define F1_EDX_APIC       BIT(9)
#define F1_EDX_HTT        BIT(28)
#define F6_EAX_ARAT       4u // the APIC timer always runs: a guest needs no other to wake from idle
#define F7_EBX_NEED_XSAVE BIT(5) // AVX2
#define F7_ECX_NEED_XSAVE 0x600u // VAES, VPCLMUL
#define F7_ECX_UMIP       BIT(2)

#define F81_ECX_CMP_LEGACY    2u
#define F87_EDX_TSC_INVARIANT 0x100u
#define APIC_BASE_ENABLED     BIT(11)

#define XCR0_X87 BIT(0)
#define XCR0_SSE BIT(1)
#define XCR0_AVX BIT(2)

struct guest_features guest_features;
static u32 max_extended;
static struct cpuid leaf0, leaf1, leaf7, leaf81, leaf88;
static u32 leaf_d1_eax, leaf_d2[2]; // size and offset of AVX's part

COLD static void xsave_init(void)
{
	struct cpuid d = cpuid(0xd, 0);

	guest_features.xcr0 = (((u64)d.edx << 32) | d.eax) & (XCR0_X87 | XCR0_SSE | XCR0_AVX);
	guest_features.xsave_max = 512 + 64;
	leaf_d1_eax = cpuid(0xd, 1).eax & ALLOW_D1_EAX;
	if (guest_features.xcr0 & XCR0_AVX) {
		d = cpuid(0xd, 2);
		leaf_d2[0] = d.eax;
		leaf_d2[1] = d.ebx;
		guest_features.xsave_max = d.eax + d.ebx;
	}
}

COLD void cpuid_init(void)
{
	struct guest_features *f = &guest_features;

	max_extended = MIN(cpuid(0x80000000, 0).eax, 0x80000008u);
	leaf0 = cpuid(0, 0);
	leaf0.eax = MIN(leaf0.eax, 0xdu);
	leaf1 = cpuid(1, 0);
	leaf7 = leaf0.eax >= 7 ? cpuid(7, 0) : (struct cpuid){0};
	leaf81 = cpuid(0x80000001, 0);
	leaf88 = max_extended >= 0x80000008 ? cpuid(0x80000008, 0) : (struct cpuid){.eax = 36};
	leaf1.ecx &= ALLOW_1_ECX;
	leaf1.edx &= ALLOW_1_EDX;
	leaf7.eax = 0;
	leaf7.ebx &= ALLOW_7_EBX;
	leaf7.ecx &= ALLOW_7_ECX | (u32)F7_ECX_UMIP;
	leaf7.edx &= ALLOW_7_EDX;
	leaf81.ecx &= ALLOW_81_ECX;
	leaf81.edx &= ALLOW_81_EDX | MIRROR_81_EDX;
	f->xsave = leaf1.ecx & F1_ECX_XSAVE && leaf0.eax >= 0xd;
	if (f->xsave) {
		xsave_init();
	} else {
		leaf1.ecx &= ~(u32)(F1_ECX_XSAVE | F1_ECX_NEED_XSAVE);
		leaf7.ebx &= ~(u32)F7_EBX_NEED_XSAVE;
		leaf7.ecx &= ~(u32)F7_ECX_NEED_XSAVE;
	}
	f->rdtscp = leaf81.edx & BIT(27);
	f->long_mode = leaf81.edx & BIT(29);
	f->nx = leaf81.edx & BIT(20);
	f->ffxsr = false;
	if (!f->rdtscp)
		leaf7.ecx &= ~(u32)BIT(22); // RDPID reads TSC_AUX too
}

COLD bool xcr0_legal(u64 value)
{
	if (!(value & XCR0_X87) || (value & ~guest_features.xcr0))
		return false;
	return !(value & XCR0_AVX) || (value & XCR0_SSE);
}

COLD static u32 core_bits(u32 n)
{
	return n <= 1 ? 0 : 32 - (u32)__builtin_clz(n - 1);
}

static struct cpuid features_1(struct vcpu *v)
{
	u32 n = v->vm->vcpu_count;
	struct cpuid r = leaf1;

	r.ebx = (r.ebx & 0xff00) | MIN(n, 255u) << 16 | vcpu_apic_id(v) << 24;
	r.ecx |= (u32)(F1_ECX_X2APIC | F1_ECX_DEADLINE | F1_ECX_HYPERVISOR);
	if (guest_features.xsave && (hvm->reg_get(v, HVM_CR4) & CR4_OSXSAVE))
		r.ecx |= (u32)F1_ECX_OSXSAVE;
	r.edx = (r.edx & ~(u32)F1_EDX_HTT) | (n > 1 ? (u32)F1_EDX_HTT : 0);
	if (v->vm->machine) // its devices send messages to APICs that have 8 bits of a name
		r.ecx &= ~(u32)F1_ECX_X2APIC;
	if (!(v->lapic.base & APIC_BASE_ENABLED))
		r.edx &= ~(u32)F1_EDX_APIC;
	return r;
}

// Extended topology: one thread a core, all cores in one package.
COLD static struct cpuid topology(struct vcpu *v, u32 subleaf)
{
	struct cpuid r = {.ecx = subleaf & 0xff, .edx = vcpu_apic_id(v)};

	if (subleaf == 0) {
		r.ebx = 1;
		r.ecx |= 1 << 8;
	} else if (subleaf == 1) {
		r.eax = core_bits(v->vm->vcpu_count);
		r.ebx = v->vm->vcpu_count;
		r.ecx |= 2 << 8;
	}
	return r;
}

COLD static u32 xsave_size(u64 xcr0)
{
	return xcr0 & XCR0_AVX ? guest_features.xsave_max : 512 + 64;
}

COLD static struct cpuid xsave_leaf(struct vcpu *v, u32 subleaf)
{
	u64 xcr0;

	if (!guest_features.xsave)
		return (struct cpuid){0};
	switch (subleaf) {
	case 0:
		xcr0 = hvm->reg_get(v, HVM_CR4) & CR4_OSXSAVE ? xcr_read(0) : XCR0_X87;
		return (struct cpuid){.eax = (u32)guest_features.xcr0,
			.ebx = xsave_size(xcr0),
			.ecx = guest_features.xsave_max};
	case 1:
		return (struct cpuid){.eax = leaf_d1_eax};
	case 2:
		return (struct cpuid){.eax = leaf_d2[0], .ebx = leaf_d2[1]};
	default:
		return (struct cpuid){0};
	}
}

static struct cpuid basic(struct vcpu *v, u32 leaf, u32 subleaf)
{
	switch (leaf) {
	case 0:
		return leaf0;
	case 1:
		return features_1(v);
	case 6:
		return (struct cpuid){.eax = F6_EAX_ARAT};
	case 7:
		return subleaf == 0 ? leaf7 : (struct cpuid){0};
	case 0xb:
		return topology(v, subleaf);
	case 0xd:
		return xsave_leaf(v, subleaf);
	default:
		return (struct cpuid){0};
	}
}

static struct cpuid extended(struct vcpu *v, u32 leaf)
{
	u32 n = v->vm->vcpu_count;
	struct cpuid r;

	switch (leaf) {
	case 0x80000000:
		return (struct cpuid){max_extended, leaf0.ebx, leaf0.ecx, leaf0.edx};
	case 0x80000001:
		r = leaf81;
		r.ecx |= n > 1 ? F81_ECX_CMP_LEGACY : 0;
		return r;
	case 0x80000002: // the model's name
	case 0x80000003:
	case 0x80000004:
	case 0x80000005: // caches
	case 0x80000006:
		return cpuid(leaf, 0);
	case 0x80000007:
		return (struct cpuid){.edx = cpu_info.tsc_invariant ? F87_EDX_TSC_INVARIANT : 0};
	case 0x80000008:
		return (struct cpuid){.eax = (leaf88.eax & 0xff) | 48 << 8, // address widths
			.ebx = leaf88.ebx & ALLOW_88_EBX,
			.ecx = (n - 1) | core_bits(n) << 12};
	default:
		return (struct cpuid){0};
	}
}

static struct cpuid hypervisor(struct vcpu *v, u32 leaf)
{
	u32 out[4] = {0};

	vpv_cpuid(v, leaf, out);
	return (struct cpuid){out[0], out[1], out[2], out[3]};
}

struct cpuid cpuid_guest(struct vcpu *v, u32 leaf, u32 subleaf)
{
	if (leaf <= leaf0.eax)
		return basic(v, leaf, subleaf);
	if (leaf - 0x40000000 < 0x10000000)
		return hypervisor(v, leaf);
	if (leaf >= 0x80000000 && leaf <= max_extended)
		return extended(v, leaf);
	return (struct cpuid){0};
}
