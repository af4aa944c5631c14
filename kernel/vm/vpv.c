// SPDX-License-Identifier: MIT
// The paravirtual leaf: CPUID, MSRs, and what is shared with the guest through its memory (clock, steal time, PV EOI).
//
// A structure in guest memory is written while its vcpu does not run, in the order version odd, contents, version even.
// The processor keeps the order of stores and WRITE_ONCE keeps the compiler's.
#include "abi/hypercall.h"
#include "kernel/core/wallclock.h"
#include "kernel/vm/vm.h"
#include "kernel/vm/vpv_abi.h"
#include "lib/errno.h"
#include "lib/string.h"

#define NS_PER_SEC 1000000000ull

// No KVM_FEATURE_PV_UNHALT: a vcpu that spins for a lock gives its turn up by the end of its slice.
#define VPV_FEATURES                                                                               \
	(KVM_FEATURE_CLOCKSOURCE | KVM_FEATURE_NOP_IO_DELAY | KVM_FEATURE_CLOCKSOURCE2 |           \
		KVM_FEATURE_STEAL_TIME | KVM_FEATURE_PV_EOI | KVM_FEATURE_PV_TLB_FLUSH |           \
		KVM_FEATURE_PV_SEND_IPI | KVM_FEATURE_PV_SCHED_YIELD | KVM_FEATURE_CLOCK_STABLE)

#define MEZZ_LEAVES_VERSION 1u

static u64 tsc_hz(void)
{
	return time_from_ns(NS_PER_SEC);
}

static void signature(u32 out[4], u32 max, const char text[12])
{
	out[0] = max;
	memcpy(&out[1], text, 12);
}

bool vpv_cpuid(struct vcpu *v, u32 leaf, u32 out[4])
{
	(void)v;
	if (leaf < KVM_LEAF_SIGNATURE || leaf >= PV_LEAF_END)
		return false;
	memset(out, 0, 16);
	switch (leaf) {
	case KVM_LEAF_SIGNATURE:
		signature(out, KVM_LEAF_TIMING, "KVMKVMKVM\0\0");
		break;
	case KVM_LEAF_FEATURES:
		out[0] = VPV_FEATURES;
		break;
	case KVM_LEAF_TIMING:
		out[0] = (u32)(tsc_hz() / 1000);
		out[1] = (u32)(VLAPIC_TIMER_HZ / 1000);
		break;
	case MEZZ_LEAF:
		signature(out, MEZZ_LEAF_VERSION, "MezzanineHV");
		break;
	case MEZZ_LEAF_VERSION:
		out[0] = MEZZ_LEAVES_VERSION;
		out[1] = v->vm->machine ? MEZZ_ABI_VERSION : 0;
		break;
	}
	return true;
}

// ---------------------------------------------------------------- kvm-clock

void vpv_clock_scale(u64 hz, u32 *mul, s8 *shift)
{
	u64 numerator = NS_PER_SEC << 32;
	int s = 0;

	for (hz = MAX(hz, 1); hz <= NS_PER_SEC; hz <<= 1)
		s++;
	for (; numerator / hz < BIT(31) && !(numerator >> 63); numerator <<= 1)
		s--;
	*mul = (u32)(numerator / hz);
	*shift = (s8)s;
}

// The guest's TSC counts from the VM's creation on, and so does its clock: the two agree at 0, on all vcpus.
static void clock_write(struct vcpu *v)
{
	struct pvclock_vcpu_time_info *t;
	u32 version, mul;
	s8 shift;

	if (!(v->pv.clock_msr & MSR_KVM_ENABLED))
		return;
	t = guest_ptr(v->vm, gpa(v->pv.clock_msr & ~MSR_KVM_ENABLED), sizeof(*t));
	if (!t)
		return;
	vpv_clock_scale(tsc_hz(), &mul, &shift);
	version = READ_ONCE(t->version) | 1;
	WRITE_ONCE(t->version, version);
	WRITE_ONCE(t->tsc_timestamp, 0);
	WRITE_ONCE(t->system_time, 0);
	WRITE_ONCE(t->tsc_to_system_mul, mul);
	WRITE_ONCE(t->tsc_shift, shift);
	WRITE_ONCE(t->flags, PVCLOCK_TSC_STABLE);
	WRITE_ONCE(t->version, version + 1);
}

// The time of day when the clock was 0.
static void wall_write(struct vcpu *v)
{
	gpa_t at = gpa(v->pv.wall_msr);
	u64 boot = wall_clock_ns() - time_to_ns(vm_tsc(v->vm));
	struct pvclock_wall_clock w;

	if (!guest_read(v->vm, at, &w.version, sizeof(w.version)))
		return;
	w.version |= 1;
	w.sec = (u32)(boot / NS_PER_SEC);
	w.nsec = (u32)(boot % NS_PER_SEC);
	if (!guest_write(v->vm, at, &w, sizeof(w)))
		return;
	w.version++;
	guest_write(v->vm, at, &w.version, sizeof(w.version));
}

// ---------------------------------------------------------------- steal time and the flag `preempted`

// A guest that finds `preempted` set may leave a TLB flush to us: it sets the flush bit with a compare-exchange, so
// either it is seen here, or its own fails and it sends an IPI.
static void steal_load(struct vcpu *v)
{
	struct kvm_steal_time *s = v->pv.steal;
	u64 waited = READ_ONCE(v->sched.waited);
	u32 version;

	if (atomic_exchange(&s->preempted, 0) & KVM_VCPU_FLUSH_TLB)
		hvm->flush(v);
	if (waited == v->pv.steal_waited)
		return;
	version = READ_ONCE(s->version) | 1;
	WRITE_ONCE(s->version, version);
	WRITE_ONCE(s->steal, time_to_ns(waited - v->pv.steal_base));
	WRITE_ONCE(s->version, version + 1);
	v->pv.steal_waited = waited;
}

void vpv_vcpu_load(struct vcpu *v)
{
	if (v->pv.steal)
		steal_load(v);
}

void vpv_vcpu_unload(struct vcpu *v)
{
	if (v->pv.steal)
		atomic_store(&v->pv.steal->preempted, (u8)KVM_VCPU_PREEMPTED);
}

static int steal_set(struct vcpu *v, u64 value)
{
	struct vpv *p = &v->pv;

	if (value & 0x3e) // 64-byte aligned
		return -EINVAL;
	p->steal_msr = value;
	p->steal = NULL;
	if (!(value & MSR_KVM_ENABLED))
		return 0;
	p->steal = guest_ptr(v->vm, gpa(value & ~MSR_KVM_ENABLED), sizeof(*p->steal));
	p->steal_base = p->steal_waited = READ_ONCE(v->sched.waited);
	vpv_vcpu_load(v);
	return 0;
}

// ---------------------------------------------------------------- PV EOI

static int eoi_set(struct vcpu *v, u64 value)
{
	if (value & 0x2) // 4-byte aligned
		return -EINVAL;
	v->pv.eoi_msr = value;
	v->pv.eoi = NULL;
	if (value & MSR_KVM_ENABLED)
		v->pv.eoi = guest_ptr(v->vm, gpa(value & ~MSR_KVM_ENABLED), 4);
	return 0;
}

void vpv_before_enter(struct vcpu *v)
{
	struct vpv *p = &v->pv;

	if (!p->eoi)
		return;
	if (vlapic_eoi_is_silent(v)) {
		WRITE_ONCE(*p->eoi, 1);
		p->eoi_armed = true;
	} else if (p->eoi_armed) { // an entry that was called off, and an interrupt since
		WRITE_ONCE(*p->eoi, 0);
		p->eoi_armed = false;
	}
}

void vpv_after_exit(struct vcpu *v)
{
	if (!v->pv.eoi_armed)
		return;
	v->pv.eoi_armed = false;
	if (READ_ONCE(*v->pv.eoi) & 1)
		WRITE_ONCE(*v->pv.eoi, 0); // not yet: by the register, or by the next entry's flag
	else
		vlapic_eoi(v);
}

// ---------------------------------------------------------------- MSRs

void vpv_reset(struct vcpu *v)
{
	v->pv = (struct vpv){0};
}

int vpv_msr_read(struct vcpu *v, u32 msr, u64 *value)
{
	switch (msr) {
	case MSR_KVM_WALL_CLOCK_OLD:
	case MSR_KVM_WALL_CLOCK:
		*value = v->pv.wall_msr;
		return 0;
	case MSR_KVM_SYSTEM_TIME_OLD:
	case MSR_KVM_SYSTEM_TIME:
		*value = v->pv.clock_msr;
		return 0;
	case MSR_KVM_STEAL_TIME:
		*value = v->pv.steal_msr;
		return 0;
	case MSR_KVM_PV_EOI:
		*value = v->pv.eoi_msr;
		return 0;
	default:
		return -EINVAL;
	}
}

int vpv_msr_write(struct vcpu *v, u32 msr, u64 value)
{
	switch (msr) {
	case MSR_KVM_WALL_CLOCK_OLD:
	case MSR_KVM_WALL_CLOCK:
		v->pv.wall_msr = value;
		wall_write(v);
		return 0;
	case MSR_KVM_SYSTEM_TIME_OLD:
	case MSR_KVM_SYSTEM_TIME:
		v->pv.clock_msr = value;
		clock_write(v);
		return 0;
	case MSR_KVM_STEAL_TIME:
		return steal_set(v, value);
	case MSR_KVM_PV_EOI:
		return eoi_set(v, value);
	default:
		return -EINVAL;
	}
}
