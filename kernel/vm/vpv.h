// SPDX-License-Identifier: MIT
// The paravirtual leaf: KVM's interface (CPUID 0x40000000; Linux's Documentation/virt/kvm/x86/{cpuid,msr,hypercalls}.rst)
// and Mezzanine's own (0x40000100).
//
// Offered: kvm-clock, steal time, PV EOI, PV IPI, PV TLB flush, yield. All fields are the owner's, as in vlapic.h. The
// pointers are into guest RAM and stay valid while the VM's memory does; they never cross a page. What they point at
// is the guest's: each value is read once, and none is believed.
#pragma once

#include "lib/types.h"

struct vcpu;
struct kvm_steal_time;

struct vpv {
	u64 wall_msr;
	u64 clock_msr;
	u64 steal_msr;
	u64 eoi_msr;
	struct kvm_steal_time *steal; // NULL: off
	u64 steal_base;               // sched.waited when it was turned on
	u64 steal_waited;             // sched.waited as the guest was told
	u8 *eoi;                      // NULL: off
	bool eoi_armed;               // the guest may end the interrupt in service by clearing *eoi
};

// All off, as after power-on. Also at INIT, and before the VM's memory is given back.
void vpv_reset(struct vcpu *v);

// The leaves from 0x40000000 to 0x400001ff; false: the leaf is not one of these. out: eax, ebx, ecx, edx.
bool vpv_cpuid(struct vcpu *v, u32 leaf, u32 out[4]);

// MSRs 0x11, 0x12, 0x4b564d00-ff: 0 or -EINVAL (#GP). An address that is not RAM, or a structure that crosses a page,
// turns the service off, as if the guest had not asked for it. Owner; takes LOCK_GMAP.
int vpv_msr_read(struct vcpu *v, u32 msr, u64 *value);
int vpv_msr_write(struct vcpu *v, u32 msr, u64 value);

// A hypercall of KVM's ABI; what goes back in RAX, a negative KVM error number if it failed. mode64: the guest is in
// 64-bit mode; the caller has cut the arguments to 32 bits if not. Checks that the guest is in ring 0. Owner, no lock.
s64 vpv_hypercall(struct vcpu *v, u64 nr, u64 a0, u64 a1, u64 a2, u64 a3, bool mode64);

// The vcpu begins to run on this CPU, after the scheduler chose it; it stops to (it sleeps or its turn ended). Owner.
void vpv_vcpu_load(struct vcpu *v);
void vpv_vcpu_unload(struct vcpu *v);

// Around each entry to the guest: arms PV EOI, after the interrupt to be delivered was accepted; and carries out the
// guest's EOI, before the exit is handled. An entry may be called off after vpv_before_enter; call it again then. Owner,
// no lock.
void vpv_before_enter(struct vcpu *v);
void vpv_after_exit(struct vcpu *v);

// The factors that turn a difference of TSC at hz (up to 8 GHz) into ns (vpv_abi.h): mul in [2^31, 2^32), cut after its
// last bit.
void vpv_clock_scale(u64 hz, u32 *mul, s8 *shift);
