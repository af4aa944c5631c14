// SPDX-License-Identifier: MIT
// What a guest is told of the processor, and which model-specific registers it has.
#pragma once

#include "kernel/vm/vcpu.h"
#include "kernel/x86/cpu.h"

// Once at start: combines the policy with what this machine's processor has.
void cpuid_init(void);

// The answer to CPUID for this vcpu now; it is the one that is loaded here.
struct cpuid cpuid_guest(struct vcpu *v, u32 leaf, u32 subleaf);

// Features that other policies depend on.
struct guest_features {
	bool xsave;
	bool rdtscp;
	bool long_mode;
	bool nx;
	bool ffxsr;
	u64 xcr0;      // the bits of XCR0 that the guest may set
	u32 xsave_max; // size of the save area with all of them
};
extern struct guest_features guest_features;

// RDMSR and WRMSR of what the permission map lets exit. 0, or -EINVAL: #GP.
int msr_guest_read(struct vcpu *v, u32 msr, u64 *value);
int msr_guest_write(struct vcpu *v, u32 msr, u64 value);

// Is the value legal for XCR0 (APM vol. 2, 11.5.2)?
bool xcr0_legal(u64 value);
