// SPDX-License-Identifier: MIT
// The paravirtual leaf: CPUID, clock, steal time, PV EOI, hypercalls, and addresses that make no sense.
// link: kernel/vm/vpv.c kernel/vm/vpv_hypercall.c kernel/vm/vlapic.c kernel/vm/vlapic_regs.c kernel/vm/vlapic_timer.c
// link: kernel/vm/vlapic_ipi.c kernel/vm/vioapic.c kernel/core/timer.c tests/unit/fake/arch.c tests/unit/fake/guest.c
#include <errno.h>
#include "tests/unit/test.h"
#include "tests/unit/fake/guest.h"
#include "kernel/vm/vpv_abi.h"

#define NS 1000000000ull

static u64 rdmsr(struct vcpu *v, u32 msr)
{
	u64 value = 0xbad;

	CHECK_EQ(vpv_msr_read(v, msr, &value), 0);
	return value;
}

static struct vcpu *start(void)
{
	struct vcpu *v = fake_vm(4)->vcpus[1];

	for (u32 i = 0; i < 4; i++)
		vlapic_mmio_write(v->vm->vcpus[i], 0xf0, 0x1ff);
	return v;
}

TEST(leaves)
{
	struct vcpu *v = start();
	u32 out[4];

	CHECK(vpv_cpuid(v, 0x40000000, out));
	CHECK_EQ(out[0], 0x40000010);
	CHECK(memcmp(&out[1], "KVMKVMKVM\0\0\0", 12) == 0);
	CHECK(vpv_cpuid(v, 0x40000001, out));
	CHECK_EQ(out[0], 1u << 0 | 1u << 1 | 1u << 3 | 1u << 5 | 1u << 6 | 1u << 9 | 1u << 11 |
				 1u << 13 | 1u << 24);
	CHECK_EQ(out[3], 0);
	CHECK(vpv_cpuid(v, 0x40000010, out));
	CHECK_EQ(out[0], 1000000);
	CHECK_EQ(out[1], 1000000);
	CHECK(vpv_cpuid(v, 0x40000100, out));
	CHECK_EQ(out[0], 0x40000101);
	CHECK(memcmp(&out[1], "MezzanineHV\0", 12) == 0);
	CHECK(vpv_cpuid(v, 0x40000101, out));
	CHECK_EQ(out[0], 1);
	CHECK(vpv_cpuid(v, 0x400001ff, out));
	CHECK_EQ(out[0] | out[1] | out[2] | out[3], 0);
	CHECK(!vpv_cpuid(v, 0x40000200, out));
	CHECK(!vpv_cpuid(v, 0x3fffffff, out));
	CHECK(!vpv_cpuid(v, 0x80000000, out));
}

// ---------------------------------------------------------------- clock

static u64 scaled(u64 tsc, u32 mul, s8 shift)
{
	tsc = shift < 0 ? tsc >> -shift : tsc << shift;
	return (u64)((unsigned __int128)tsc * mul >> 32);
}

TEST(clock_scale)
{
	static const u64 hz[] = {1000, 33333333, 999999999, 1000000000, 1000000001, 1999999999,
		2000000000, 2000000001, 2394456789, 3999999999, 4000000000, 4000000001, 5700000000,
		7999999999};

	for (unsigned i = 0; i < ARRAY_SIZE(hz); i++) {
		u32 mul;
		s8 shift;
		u64 day;

		vpv_clock_scale(hz[i], &mul, &shift);
		CHECK(mul >= 0x80000000u);
		day = scaled(hz[i] * 86400, mul, shift);
		CHECK(day <= 86400 * NS);
		CHECK(day >= 86400 * NS - 86400 * NS / 0x80000000u - 1);
	}
}

TEST(clock_is_published)
{
	struct vcpu *v = start();
	struct pvclock_vcpu_time_info t;

	memset(fake_guest_ram + 0x1000, 0xff, 64);
	memset(fake_guest_ram + 0x1020, 0x5a, 1);
	memset(fake_guest_ram + 0x1000, 0, 4);
	fake_now += 12345;
	CHECK_EQ(vpv_msr_write(v, MSR_KVM_SYSTEM_TIME, 0x1001), 0);
	CHECK_EQ(rdmsr(v, MSR_KVM_SYSTEM_TIME_OLD), 0x1001);
	memcpy(&t, fake_guest_ram + 0x1000, sizeof(t));
	CHECK_EQ(t.version, 2);
	CHECK_EQ(t.flags, PVCLOCK_TSC_STABLE);
	CHECK_EQ(t.system_time +
			 scaled(vm_tsc(v->vm) - t.tsc_timestamp, t.tsc_to_system_mul, t.tsc_shift),
		12345);
	CHECK_EQ(fake_guest_ram[0x1020], 0x5a);
	CHECK_EQ(vpv_msr_write(v, MSR_KVM_SYSTEM_TIME_OLD, 0x1001), 0);
	CHECK_EQ(fake_guest_ram[0x1000], 4);
	CHECK_EQ(vpv_msr_write(v, MSR_KVM_SYSTEM_TIME, 0x2000), 0); // not enabled
	CHECK_EQ(fake_guest_ram[0x2018], 0);
}

TEST(wall_clock)
{
	struct vcpu *v = start();
	struct pvclock_wall_clock w;

	fake_now += 3 * NS;
	fake_wall_ns = 1700000003 * NS + 77;
	CHECK_EQ(vpv_msr_write(v, MSR_KVM_WALL_CLOCK, 0x1ffc), 0); // it may cross a page
	memcpy(&w, fake_guest_ram + 0x1ffc, sizeof(w));
	CHECK_EQ(w.version, 2);
	CHECK_EQ(w.sec, 1700000000);
	CHECK_EQ(w.nsec, 77);
	CHECK_EQ(vpv_msr_write(v, MSR_KVM_WALL_CLOCK_OLD, ~0ull), 0);
	CHECK_EQ(rdmsr(v, MSR_KVM_WALL_CLOCK), ~0ull);
}

// ---------------------------------------------------------------- steal time, TLB flush

TEST(steal_time)
{
	struct vcpu *v = start();
	struct kvm_steal_time *s = (struct kvm_steal_time *)(fake_guest_ram + 0x3040);

	v->sched.waited = 500; // before it was turned on: not told
	CHECK_EQ(vpv_msr_write(v, MSR_KVM_STEAL_TIME, 0x3041), 0);
	CHECK_EQ(s->steal, 0);
	vpv_vcpu_unload(v);
	CHECK_EQ(s->preempted, KVM_VCPU_PREEMPTED);
	v->sched.waited = 1700;
	vpv_vcpu_load(v);
	CHECK_EQ(s->preempted, 0);
	CHECK_EQ(s->steal, 1200);
	CHECK_EQ(s->version, 2);
	vpv_vcpu_unload(v);
	vpv_vcpu_load(v);
	CHECK_EQ(s->version, 2); // nothing new
	v->sched.waited = 1800;
	s->steal = 99; // the guest's scribble does not count
	vpv_vcpu_load(v);
	CHECK_EQ(s->steal, 1300);
	CHECK_EQ(vpv_msr_write(v, MSR_KVM_STEAL_TIME, 0x3040), 0); // off
	vpv_vcpu_unload(v);
	CHECK_EQ(s->preempted, 0);
}

TEST(tlb_flush)
{
	struct vcpu *v = start();
	struct kvm_steal_time *s = (struct kvm_steal_time *)(fake_guest_ram + 0x3040);

	CHECK_EQ(vpv_msr_write(v, MSR_KVM_STEAL_TIME, 0x3041), 0);
	vpv_vcpu_unload(v);
	vpv_vcpu_load(v);
	CHECK_EQ(fake_flushes[1], 0);
	vpv_vcpu_unload(v);
	s->preempted |= KVM_VCPU_FLUSH_TLB;
	vpv_vcpu_load(v);
	CHECK_EQ(fake_flushes[1], 1);
	CHECK_EQ(s->preempted, 0);
}

// ---------------------------------------------------------------- PV EOI

// An interrupt was delivered and the guest is entered; returns what the guest sees in its flag.
static u8 enter_with(struct vcpu *v, u8 vector)
{
	CHECK_EQ(fake_deliver(v), vector);
	vpv_before_enter(v);
	return fake_guest_ram[0x4004];
}

TEST(pv_eoi)
{
	struct vcpu *v = start();

	CHECK_EQ(vpv_msr_write(v, MSR_KVM_PV_EOI, 0x4005), 0);
	vpv_before_enter(v);
	vpv_after_exit(v);
	CHECK_EQ(fake_guest_ram[0x4004], 0); // nothing in service
	vlapic_set_irq(v, 0x40, false);
	CHECK_EQ(enter_with(v, 0x40), 1);
	vpv_after_exit(v); // not ended yet: the flag is taken back
	CHECK_EQ(fake_guest_ram[0x4004], 0);
	CHECK_EQ(v->lapic.isr[1], 1);
	vpv_before_enter(v);
	CHECK_EQ(fake_guest_ram[0x4004], 1);
	fake_guest_ram[0x4004] = 0; // the guest's EOI
	vpv_after_exit(v);
	CHECK_EQ(v->lapic.isr[1], 0);
	CHECK_EQ(v->lapic.ppr, 0);
	vpv_before_enter(v);
	CHECK_EQ(fake_guest_ram[0x4004], 0);
}

TEST(pv_eoi_nested)
{
	struct vcpu *v = start();

	CHECK_EQ(vpv_msr_write(v, MSR_KVM_PV_EOI, 0x4005), 0);
	vlapic_set_irq(v, 0x40, false);
	CHECK_EQ(enter_with(v, 0x40), 1);
	vlapic_set_irq(v, 0x60, false);
	vpv_after_exit(v);
	CHECK_EQ(enter_with(v, 0x60), 1);
	fake_guest_ram[0x4004] = 0;
	vpv_after_exit(v);
	CHECK_EQ(v->lapic.isr[1], 1); // 0x40 is left
	CHECK_EQ(v->lapic.ppr, 0x40);
}

TEST(pv_eoi_not_for_all)
{
	struct vcpu *v = start();

	CHECK_EQ(vpv_msr_write(v, MSR_KVM_PV_EOI, 0x4005), 0);
	vlapic_set_irq(v, 0x40, true); // level: the IOAPIC must hear of the end
	CHECK_EQ(enter_with(v, 0x40), 0);
	vpv_after_exit(v);
	vlapic_eoi(v);
	vlapic_set_irq(v, 0x41, false);
	vlapic_set_irq(v, 0x42, false); // one waits behind it
	CHECK_EQ(enter_with(v, 0x42), 0);
	vpv_after_exit(v);
	vlapic_eoi(v);
	CHECK_EQ(enter_with(v, 0x41), 1);
	vpv_after_exit(v);
	CHECK_EQ(vpv_msr_write(v, MSR_KVM_PV_EOI, 0x4004), 0); // off
	vpv_before_enter(v);
	CHECK_EQ(fake_guest_ram[0x4004], 0);
}

TEST(pv_eoi_when_the_entry_is_called_off)
{
	struct vcpu *v = start();

	CHECK_EQ(vpv_msr_write(v, MSR_KVM_PV_EOI, 0x4005), 0);
	vlapic_set_irq(v, 0x40, false);
	CHECK_EQ(enter_with(v, 0x40), 1);
	vlapic_set_irq(v, 0x60, true); // level: its end must be heard of
	CHECK_EQ(enter_with(v, 0x60), 0);
	fake_guest_ram[0x4004] = 0;
	vpv_after_exit(v);
	CHECK_EQ(v->lapic.isr_top, 0x60);
	vlapic_eoi(v);
	vpv_before_enter(v);
	CHECK_EQ(fake_guest_ram[0x4004], 1); // for 0x40
}

// ---------------------------------------------------------------- addresses and MSRs that make no sense

TEST(bad_addresses)
{
	struct vcpu *v = start();
	static const u64 at[] = {0, 0xffc0, 0xfffffffffffc0ull, FAKE_GUEST_RAM,
		0xffffffffffffffc0ull, 0x8000000000000000ull};

	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		CHECK_EQ(vpv_msr_write(v, MSR_KVM_STEAL_TIME, at[i] | 1), 0);
		CHECK_EQ(rdmsr(v, MSR_KVM_STEAL_TIME), at[i] | 1);
		CHECK_EQ(v->pv.steal != NULL, i < 2);
		CHECK_EQ(vpv_msr_write(v, MSR_KVM_PV_EOI, at[i] | 1), 0);
		CHECK_EQ(v->pv.eoi != NULL, i < 2);
		CHECK_EQ(vpv_msr_write(v, MSR_KVM_SYSTEM_TIME, at[i] | 1), 0);
		CHECK_EQ(vpv_msr_write(v, MSR_KVM_WALL_CLOCK, at[i]), 0);
		vpv_vcpu_unload(v);
		vpv_vcpu_load(v);
		vpv_before_enter(v);
		vpv_after_exit(v);
	}
	memset(fake_guest_ram, 0, sizeof(fake_guest_ram));
	CHECK_EQ(vpv_msr_write(v, MSR_KVM_SYSTEM_TIME, 0x1ff9), 0); // crosses a page
	for (unsigned i = 0; i < FAKE_GUEST_RAM; i++)
		CHECK_EQ(fake_guest_ram[i], 0);
	for (u64 bits = 2; bits < 64; bits += 2)
		CHECK_EQ(vpv_msr_write(v, MSR_KVM_STEAL_TIME, 0x3001 | bits), -EINVAL);
	CHECK_EQ(vpv_msr_write(v, MSR_KVM_PV_EOI, 0x4003), -EINVAL);
}

TEST(other_msrs)
{
	struct vcpu *v = start();
	u64 value;

	for (u32 msr = 0x4b564d00; msr < 0x4b564e00; msr++) {
		bool known = msr <= 0x4b564d04 && msr != 0x4b564d02;

		CHECK_EQ(vpv_msr_read(v, msr, &value), known ? 0 : -EINVAL);
		CHECK_EQ(vpv_msr_write(v, msr, 0), known ? 0 : -EINVAL);
	}
}

TEST(reset)
{
	struct vcpu *v = start();

	CHECK_EQ(vpv_msr_write(v, MSR_KVM_STEAL_TIME, 0x3041), 0);
	CHECK_EQ(vpv_msr_write(v, MSR_KVM_PV_EOI, 0x4005), 0);
	vpv_reset(v);
	CHECK_EQ(rdmsr(v, MSR_KVM_STEAL_TIME), 0);
	fake_guest_ram[0x3050] = 0;
	vpv_vcpu_unload(v);
	CHECK_EQ(fake_guest_ram[0x3050], 0);
	vlapic_set_irq(v, 0x40, false);
	CHECK_EQ(enter_with(v, 0x40), 0);
}

// ---------------------------------------------------------------- hypercalls

static u64 who_got(struct vm *vm, u8 vector)
{
	u64 set = 0;

	for (u32 i = 0; i < vm->vcpu_count; i++) {
		u64 *word = &vm->vcpus[i]->lapic.irr[vector / 64];

		if (*word & BIT(vector % 64))
			set |= BIT(i);
		*word &= ~BIT(vector % 64);
	}
	return set;
}

TEST(send_ipi)
{
	struct vcpu *v = start();

	CHECK_EQ(vpv_hypercall(v, KVM_HC_SEND_IPI, 0xb, 0, 0, 0xfd, true), 3);
	CHECK_EQ(who_got(v->vm, 0xfd), 0xb);
	CHECK_EQ(vpv_hypercall(v, KVM_HC_SEND_IPI, ~0ull, ~0ull, 2, 0xfd, true), 2);
	CHECK_EQ(who_got(v->vm, 0xfd), 0xc);
	CHECK_EQ(vpv_hypercall(v, KVM_HC_SEND_IPI, ~0ull, ~0ull, ~0ull, 0xfd, true), 0);
	CHECK_EQ(vpv_hypercall(v, KVM_HC_SEND_IPI, ~0ull, ~0ull, 64, 0xfd, true), 0);
	CHECK_EQ(vpv_hypercall(v, KVM_HC_SEND_IPI, 1, 1, 0, 0x800fd, true), (u64)-KVM_EINVAL);
	CHECK_EQ(vpv_hypercall(v, KVM_HC_SEND_IPI, 1, 1, 0, 0x8fd, true), (u64)-KVM_EINVAL);
	CHECK_EQ(vpv_hypercall(v, KVM_HC_SEND_IPI, 1, 1, 0, 0x500, true), (u64)-KVM_EINVAL);
	CHECK_EQ(vpv_hypercall(v, KVM_HC_SEND_IPI, 4, 0, 0, 0x400, true), 1);
	CHECK_EQ(v->vm->vcpus[2]->events & VCPU_NMI, VCPU_NMI);
	CHECK_EQ(who_got(v->vm, 0xfd), 0);
}

// The root VM's APIC ids begin where the CPUs' do that it has.
TEST(send_ipi_to_ids_that_do_not_begin_at_0)
{
	struct vcpu *v = start();

	v->vm->apic_first = 2;                                                 // 2 to 5
	CHECK_EQ(vpv_hypercall(v, KVM_HC_SEND_IPI, 0xb, 0, 0, 0xfd, true), 1); // 0, 1, 3
	CHECK_EQ(vpv_hypercall(v, KVM_HC_SEND_IPI, 0xb, 0, 2, 0xfd, true), 3); // 2, 3, 5
	CHECK_EQ(vpv_hypercall(v, KVM_HC_SEND_IPI, 0, 1, 0, 0xfd, true), 0);   // 64
	CHECK_EQ(vpv_hypercall(v, KVM_HC_SEND_IPI, 0, 3, 0, 0xfd, false), 0);  // 32, 33
	CHECK_EQ(vpv_hypercall(v, KVM_HC_SEND_IPI, 1ull << 5, 0, 0, 0xfd, true), 1);
	CHECK_EQ(vpv_hypercall(v, KVM_HC_SEND_IPI, 1ull << 6, 0, 0, 0xfd, true), 0);
	v->vm->apic_first = 66;
	CHECK_EQ(vpv_hypercall(v, KVM_HC_SEND_IPI, 0, 0xc, 0, 0xfd, true), 2); // 66, 67
}

TEST(send_ipi_wide)
{
	struct vm *vm = fake_vm(64);

	for (u32 i = 0; i < 64; i++)
		vlapic_mmio_write(vm->vcpus[i], 0xf0, 0x1ff);
	CHECK_EQ(vpv_hypercall(vm->vcpus[0], KVM_HC_SEND_IPI, 1, 0x80000001, 0, 0x50, false), 3);
	CHECK_EQ(who_got(vm, 0x50), BIT(0) | BIT(32) | BIT(63));
	CHECK_EQ(vpv_hypercall(vm->vcpus[0], KVM_HC_SEND_IPI, BIT(63), 1, 0, 0x50, true), 1);
	CHECK_EQ(who_got(vm, 0x50), BIT(63));
}

TEST(other_hypercalls)
{
	struct vcpu *v = start();

	CHECK_EQ(vpv_hypercall(v, KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0, true), 0);
	CHECK_EQ(vpv_hypercall(v, KVM_HC_CLOCK_PAIRING, 0, 0, 0, 0, true), (u64)-KVM_EOPNOTSUPP);
	CHECK_EQ(fake_cpu->work & WORK_RESCHED, 0);
	CHECK_EQ(vpv_hypercall(v, KVM_HC_SCHED_YIELD, 0, 0, 0, 0, true), 0);
	CHECK_EQ(fake_cpu->work & WORK_RESCHED, WORK_RESCHED);
	for (u64 nr = 12; nr < 300; nr++)
		CHECK_EQ(vpv_hypercall(v, nr, ~0ull, ~0ull, ~0ull, ~0ull, true), (u64)-KVM_ENOSYS);
	CHECK_EQ(vpv_hypercall(v, ~0ull, 0, 0, 0, 0, false), (u64)-KVM_ENOSYS);
	fake_ss_attr = 0xf3; // ring 3
	CHECK_EQ(vpv_hypercall(v, KVM_HC_SEND_IPI, 1, 0, 0, 0x40, true), (u64)-KVM_EPERM);
	CHECK_EQ(vpv_hypercall(v, KVM_HC_SCHED_YIELD, 0, 0, 0, 0, true), (u64)-KVM_EPERM);
	CHECK_EQ(vpv_hypercall(v, KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0, true), 0);
}

TEST_MAIN()
