// SPDX-License-Identifier: MIT
// KVM's paravirtual interface as a guest uses it. Source: Linux, Documentation/virt/kvm/x86/.
#pragma once

#include "lib/types.h"

#define PV_LEAF     0x40000000u
#define PV_LEAF_OWN 0x40000100u // Mezzanine's

#define PV_CLOCK     BIT(3)
#define PV_STEAL     BIT(5)
#define PV_EOI       BIT(6)
#define PV_UNHALT    BIT(7)
#define PV_TLB_FLUSH BIT(9)
#define PV_IPI       BIT(11)
#define PV_YIELD     BIT(13)

#define MSR_PV_WALL  0x4b564d00
#define MSR_PV_CLOCK 0x4b564d01
#define MSR_PV_STEAL 0x4b564d03
#define MSR_PV_EOI   0x4b564d04

#define PV_HC_KICK     5
#define PV_HC_SEND_IPI 10
#define PV_HC_YIELD    11

struct pv_clock {
	u32 version, pad0;
	u64 tsc, system_ns;
	u32 mul;
	s8 shift;
	u8 flags, pad[2];
};

struct pv_wall {
	u32 version, seconds, nanoseconds;
};

struct pv_steal {
	u64 steal_ns;
	u32 version, flags;
	u8 preempted, pad[47];
};
_Static_assert(sizeof(struct pv_clock) == 32 && sizeof(struct pv_steal) == 64, "fixed by the ABI");

static inline s64 pv_hypercall(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
	s64 r;

	__asm__ volatile("vmmcall"
			 : "=a"(r)
			 : "a"(nr), "b"(a0), "c"(a1), "d"(a2), "S"(a3)
			 : "memory");
	return r;
}
