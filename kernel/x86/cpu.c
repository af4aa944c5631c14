// SPDX-License-Identifier: MIT
// What the processor is and can do, and its protections (APM vol. 3, appendix E; SDM vol. 2,
// CPUID).
#include "kernel/x86/cpu.h"
#include "kernel/core/log.h"
#include "lib/string.h"

struct cpu_info cpu_info;

static void read_model(void)
{
	struct cpuid r = cpuid(1, 0);
	u32 family = r.eax >> 8 & 15;

	cpu_info.stepping = r.eax & 15;
	cpu_info.model_number = r.eax >> 4 & 15;
	if (family == 6 || family == 15)
		cpu_info.model_number |= r.eax >> 12 & 0xF0;
	cpu_info.family = family == 15 ? family + (r.eax >> 20 & 255) : family;
	if (cpu_info.max_extended >= 0x80000004)
		for (u32 i = 0; i < 3; i++) {
			r = cpuid(0x80000002 + i, 0);
			memcpy(cpu_info.model + 16 * i, &r, 16);
		}
}

static void read_vendor(void)
{
	struct cpuid r = cpuid(0, 0);

	cpu_info.max_leaf = r.eax;
	memcpy(cpu_info.vendor, &r.ebx, 4);
	memcpy(cpu_info.vendor + 4, &r.edx, 4);
	memcpy(cpu_info.vendor + 8, &r.ecx, 4);
	r = cpuid(0x80000000, 0);
	cpu_info.max_extended = r.eax >= 0x80000000 && r.eax < 0x80010000 ? r.eax : 0x80000000;
}

static void read_extended(void)
{
	struct cpuid r = {0};

	if (cpu_info.max_extended >= 0x80000001)
		r = cpuid(0x80000001, 0);
	cpu_info.svm = r.ecx >> 2 & 1;
	cpu_info.nx = r.edx >> 20 & 1;
	cpu_info.rdtscp = r.edx >> 27 & 1;
	cpu_info.page_1g = r.edx >> 26 & 1;
	cpu_info.tsc_invariant =
		cpu_info.max_extended >= 0x80000007 && cpuid(0x80000007, 0).edx >> 8 & 1;
	cpu_info.phys_bits =
		cpu_info.max_extended >= 0x80000008 ? cpuid(0x80000008, 0).eax & 255 : 36;
	if (cpu_info.phys_bits > 52 || cpu_info.phys_bits < 32)
		cpu_info.phys_bits = 36;
	cpu_info.npt =
		cpu_info.svm && cpu_info.max_extended >= 0x8000000A && cpuid(0x8000000A, 0).edx & 1;
}

void cpu_identify(void)
{
	struct cpuid r;

	read_vendor();
	read_model();
	read_extended();
	r = cpuid(1, 0);
	cpu_info.vmx = r.ecx >> 5 & 1;
	cpu_info.x2apic = r.ecx >> 21 & 1;
	cpu_info.tsc_deadline = r.ecx >> 24 & 1;
	cpu_info.xsave = r.ecx >> 26 & 1;
	cpu_info.rdrand = r.ecx >> 30 & 1;
	cpu_info.hypervisor = r.ecx >> 31 & 1;
	cpu_info.emulated = cpu_info.hypervisor && cpuid(0x40000000, 0).ebx == 0x54474354; // "TCGT"
	if (cpu_info.max_leaf >= 7) {
		r = cpuid(7, 0);
		cpu_info.smep = r.ebx >> 7 & 1;
		cpu_info.smap = r.ebx >> 20 & 1;
		cpu_info.umip = r.ecx >> 2 & 1;
	}
	cpu_info.xsaveopt = cpu_info.xsave && cpu_info.max_leaf >= 13 && cpuid(13, 1).eax & 1;
}

// PSE means nothing in long mode. Kernels of guests set it, and QEMU drops its TLB whenever it changes: at each exit.
void cpu_protect(void)
{
	u64 cr4 = cr4_read() | CR4_PSE | CR4_PGE | CR4_MCE;

	if (cpu_info.nx)
		msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_NXE);
	cr0_write((cr0_read() | CR0_WP | CR0_NE | CR0_MP) &
		  ~(CR0_AM | CR0_EM | CR0_TS | CR0_CD | CR0_NW));
	if (cpu_info.smep)
		cr4 |= CR4_SMEP;
	if (cpu_info.smap)
		cr4 |= CR4_SMAP;
	if (cpu_info.umip)
		cr4 |= CR4_UMIP;
	cr4_write(cr4);
}

static const char *yes(bool b)
{
	return b ? "yes" : "no";
}

void cpu_log_features(void)
{
	const char *model = cpu_info.model;

	while (*model == ' ')
		model++;
	log_line("cpu: %s, %s, family %u model %u stepping %u", cpu_info.vendor, model,
		cpu_info.family, cpu_info.model_number, cpu_info.stepping);
	log_line("cpu: SVM %s, NPT %s, VMX %s, %u physical address bits, 1 GiB pages %s",
		yes(cpu_info.svm), yes(cpu_info.npt), yes(cpu_info.vmx), cpu_info.phys_bits,
		yes(cpu_info.page_1g));
	log_line("cpu: NX %s, SMEP %s, SMAP %s, UMIP %s", yes(cpu_info.nx), yes(cpu_info.smep),
		yes(cpu_info.smap), yes(cpu_info.umip));
	log_line(
		"cpu: x2APIC %s, TSC-deadline timer %s, invariant TSC %s, XSAVE %s, in a hypervisor %s",
		yes(cpu_info.x2apic), yes(cpu_info.tsc_deadline), yes(cpu_info.tsc_invariant),
		yes(cpu_info.xsave), yes(cpu_info.hypervisor));
}
