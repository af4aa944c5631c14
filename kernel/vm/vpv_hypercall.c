// SPDX-License-Identifier: MIT
// The hypercalls of KVM's paravirtual interface.
#include "kernel/vm/vm.h"
#include "kernel/vm/vpv_abi.h"

#define ICR_MODE(icr)     ((u8)((icr) >> 8 & 7))
#define ICR_DEST_BITS     0xc0800ull // logical destination, shorthands: not for this call
#define SEGMENT_DPL(attr) ((attr) >> 5 & 3)

// By n to the left, or by -n to the right.
static u64 shift(u64 x, s64 n)
{
	return n <= -64 || n >= 64 ? 0 : n < 0 ? x >> -n : x << n;
}

// The set of APIC ids: bits of low and high, `width` each, from `min` on. Returns how many took the IPI.
static s64 send_ipi(struct vcpu *v, u64 low, u64 high, u64 min, u64 icr, unsigned width)
{
	struct apic_message m = {.mode = ICR_MODE(icr), .vector = (u8)icr};
	s64 first = (s64)min - v->vm->apic_first;

	if ((icr & ICR_DEST_BITS) || (m.mode != APIC_FIXED && m.mode != APIC_NMI))
		return -KVM_EINVAL;
	if (min >= 1024) // no APIC of a machine that we drive
		return 0;
	return vlapic_deliver_mask(v->vm, shift(low, first) | shift(high, first + width), &m);
}

s64 vpv_hypercall(struct vcpu *v, u64 nr, u64 a0, u64 a1, u64 a2, u64 a3, bool mode64)
{
	struct hvm_segment ss;

	if (nr == KVM_HC_VAPIC_POLL_IRQ) // does nothing, for anybody
		return 0;
	hvm->seg_get(v, SEG_SS, &ss);
	if (SEGMENT_DPL(ss.attr) != 0)
		return -KVM_EPERM;
	switch (nr) {
	case KVM_HC_SEND_IPI:
		return send_ipi(v, a0, a1, a2, a3, mode64 ? 64 : 32);
	case KVM_HC_SCHED_YIELD: // to whom it says is a hint: whoever is furthest behind runs next
		pcpu_post(this_pcpu(), WORK_RESCHED);
		return 0;
	case KVM_HC_CLOCK_PAIRING:
		return -KVM_EOPNOTSUPP;
	default:
		if (v->vm->machine && mode64)
			return v->vm->machine->call(v, nr, (const u64[]){a0, a1, a2, a3});
		return -KVM_ENOSYS;
	}
}
