// SPDX-License-Identifier: MIT
// The part of KVM's paravirtual ABI that Mezzanine offers, as Linux documents it in Documentation/virt/kvm/x86.
#pragma once

#include "lib/types.h"

#define KVM_LEAF_SIGNATURE 0x40000000u
#define KVM_LEAF_FEATURES  0x40000001u
#define KVM_LEAF_TIMING    0x40000010u // VMware's: kHz of TSC, APIC timer
#define MEZZ_LEAF          0x40000100u
#define MEZZ_LEAF_VERSION  0x40000101u // eax: version of the leaves
#define PV_LEAF_END        0x40000200u

#define KVM_FEATURE_NOP_IO_DELAY   (1u << 1)
#define KVM_FEATURE_CLOCKSOURCE    (1u << 0)
#define KVM_FEATURE_CLOCKSOURCE2   (1u << 3)
#define KVM_FEATURE_STEAL_TIME     (1u << 5)
#define KVM_FEATURE_PV_EOI         (1u << 6)
#define KVM_FEATURE_PV_TLB_FLUSH   (1u << 9)
#define KVM_FEATURE_PV_SEND_IPI    (1u << 11)
#define KVM_FEATURE_PV_SCHED_YIELD (1u << 13)
#define KVM_FEATURE_CLOCK_STABLE   (1u << 24)

#define MSR_KVM_WALL_CLOCK_OLD  0x11u
#define MSR_KVM_SYSTEM_TIME_OLD 0x12u
#define MSR_KVM_WALL_CLOCK      0x4b564d00u
#define MSR_KVM_SYSTEM_TIME     0x4b564d01u
#define MSR_KVM_STEAL_TIME      0x4b564d03u
#define MSR_KVM_PV_EOI          0x4b564d04u
#define MSR_KVM_ENABLED         1ull // bit 0 of the last three: on; the rest is an address

#define KVM_HC_VAPIC_POLL_IRQ 1
#define KVM_HC_KICK_CPU       5
#define KVM_HC_CLOCK_PAIRING  9
#define KVM_HC_SEND_IPI       10
#define KVM_HC_SCHED_YIELD    11

#define KVM_EPERM      1
#define KVM_EINVAL     22
#define KVM_EOPNOTSUPP 95
#define KVM_ENOSYS     1000

struct pvclock_wall_clock {
	u32 version; // odd: being written
	u32 sec;     // time of day when system_time was 0
	u32 nsec;
};

// ns = system_time + ((tsc - tsc_timestamp) << tsc_shift, or >> -tsc_shift) * tsc_to_system_mul >> 32
struct pvclock_vcpu_time_info {
	u32 version; // odd: being written
	u32 pad0;
	u64 tsc_timestamp;
	u64 system_time;
	u32 tsc_to_system_mul;
	s8 tsc_shift;
	u8 flags;
	u8 pad[2];
};
_Static_assert(sizeof(struct pvclock_vcpu_time_info) == 32, "ABI");

#define PVCLOCK_TSC_STABLE 1u // the same on all vcpus

struct kvm_steal_time {
	u64 steal;   // ns that the vcpu was ready but did not run
	u32 version; // odd: being written
	u32 flags;
	u8 preempted;
	u8 pad0[3];
	u32 pad[11];
};
_Static_assert(sizeof(struct kvm_steal_time) == 64, "ABI");

#define KVM_VCPU_PREEMPTED 1u // it does not run
#define KVM_VCPU_FLUSH_TLB 2u // set by a guest that wants a flush before it runs again
