// SPDX-License-Identifier: MIT
// The virtual local APIC: priorities, end of interrupt, registers and modes, messages.
// link: kernel/vm/vlapic.c kernel/vm/vlapic_regs.c kernel/vm/vlapic_timer.c kernel/vm/vlapic_ipi.c kernel/vm/vioapic.c
// link: kernel/vm/vpv.c kernel/core/timer.c tests/unit/fake/arch.c tests/unit/fake/guest.c
#include <errno.h>
#include "tests/unit/test.h"
#include "tests/unit/fake/guest.h"

#define X2(reg)   (0x800u + (reg))
#define PAGE(reg) ((reg) << 4)
#define BASE_MSR  0x1bu
#define ICR       0x30u
#define BASE_ON   (0xfee00000ull | BIT(11))
#define BASE_X2   (BASE_ON | BIT(10))
#define SELF      (1u << 18)
#define ALL       (2u << 18)
#define OTHERS    (3u << 18)
#define LOGICAL   (1u << 11)
#define MODE(m)   ((u32)(m) << 8)

static void enable(struct vcpu *v)
{
	vlapic_mmio_write(v, PAGE(0xf), 0x1ff);
}

static void x2apic(struct vcpu *v)
{
	CHECK_EQ(vlapic_msr_write(v, BASE_MSR, BASE_X2), 0);
	CHECK_EQ(vlapic_msr_write(v, X2(0xf), 0x1ff), 0);
}

static u64 rdmsr(struct vcpu *v, u32 msr)
{
	u64 value = 0xbad;

	CHECK_EQ(vlapic_msr_read(v, msr, &value), 0);
	return value;
}

static bool refused(struct vcpu *v, u32 msr, u64 value)
{
	return vlapic_msr_write(v, msr, value) == -EINVAL;
}

// The vcpus of the VM that have the vector pending, as a set; it is taken from them.
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

// ---------------------------------------------------------------- priorities and EOI

TEST(nothing_at_reset)
{
	struct vcpu *v = fake_vm(2)->vcpus[0];

	CHECK_EQ(vlapic_irq_pending(v), -1);
	CHECK(vlapic_accepts_extint(v));
	CHECK(!vlapic_accepts_extint(v->vm->vcpus[1]));
	CHECK(!vlapic_set_irq(v, 0x30, false)); // disabled by software
	CHECK_EQ(vlapic_irq_pending(v), -1);
	CHECK_EQ(rdmsr(v, BASE_MSR), BASE_ON | BIT(8));
	CHECK_EQ(rdmsr(v->vm->vcpus[1], BASE_MSR), BASE_ON);
	CHECK_EQ(vlapic_mmio_read(v->vm->vcpus[1], PAGE(2)), 1u << 24);
	CHECK_EQ(vlapic_mmio_read(v, PAGE(3)), 0x01050015);
}

TEST(highest_first)
{
	struct vcpu *v = fake_vm(1)->vcpus[0];
	static const u8 in[] = {0x31, 0xff, 0x80, 0x3f, 0x10};
	static const u8 out[] = {0xff, 0x80, 0x3f, 0x31, 0x10};

	enable(v);
	for (unsigned i = 0; i < sizeof(in); i++)
		CHECK(vlapic_set_irq(v, in[i], false));
	for (unsigned i = 0; i < sizeof(out); i++) {
		CHECK_EQ(fake_deliver(v), out[i]);
		CHECK_EQ(fake_deliver(v), -1); // all others are lower
		CHECK_EQ(vlapic_mmio_read(v, PAGE(0xa)), out[i] & 0xf0);
		vlapic_mmio_write(v, PAGE(0xb), 0);
	}
	CHECK_EQ(vlapic_mmio_read(v, PAGE(0xa)), 0);
	vlapic_eoi(v); // one too many
	CHECK_EQ(vlapic_irq_pending(v), -1);
}

TEST(same_class_waits)
{
	struct vcpu *v = fake_vm(1)->vcpus[0];

	enable(v);
	vlapic_set_irq(v, 0x41, false);
	CHECK_EQ(fake_deliver(v), 0x41);
	vlapic_set_irq(v, 0x4f, false);
	CHECK_EQ(fake_deliver(v), -1);
	vlapic_set_irq(v, 0x50, false);
	CHECK_EQ(fake_deliver(v), 0x50);
	CHECK_EQ(vlapic_mmio_read(v, PAGE(0x12)), 1u << 1 | 1u << 16);
	CHECK_EQ(vlapic_mmio_read(v, PAGE(0x22)), 1u << 15);
	v->events = 0;
	vlapic_eoi(v);
	CHECK_EQ(v->events, VCPU_LAPIC); // 0x4f waits
	CHECK_EQ(fake_deliver(v), -1);
	vlapic_eoi(v);
	CHECK_EQ(fake_deliver(v), 0x4f);
}

TEST(task_priority)
{
	struct vcpu *v = fake_vm(1)->vcpus[0];

	enable(v);
	vlapic_tpr_set(v, 0x5f);
	vlapic_set_irq(v, 0x5e, false);
	CHECK_EQ(fake_deliver(v), -1);
	CHECK_EQ(vlapic_mmio_read(v, PAGE(0xa)), 0x5f);
	vlapic_set_irq(v, 0x60, false);
	CHECK_EQ(fake_deliver(v), 0x60);
	CHECK_EQ(vlapic_mmio_read(v, PAGE(0xa)), 0x60);
	vlapic_tpr_set(v, 0x6a); // same class as in service: the task's value shows
	CHECK_EQ(vlapic_mmio_read(v, PAGE(0xa)), 0x6a);
	vlapic_eoi(v);
	v->events = 0;
	vlapic_mmio_write(v, PAGE(8), 0x40);
	CHECK_EQ(v->events, VCPU_LAPIC);
	CHECK_EQ(vlapic_tpr(v), 0x40);
	CHECK_EQ(fake_deliver(v), 0x5e);
}

TEST(posts_once)
{
	struct vcpu *v = fake_vm(1)->vcpus[0];

	enable(v);
	fake_posts[0] = 0;
	vlapic_set_irq(v, 0x77, false);
	vlapic_set_irq(v, 0x77, false);
	CHECK_EQ(fake_posts[0], 1);
	fake_deliver(v);
	vlapic_set_irq(v, 0x77, false);
	CHECK_EQ(fake_posts[0], 2);
	vlapic_eoi(v);
	CHECK_EQ(fake_deliver(v), 0x77);
	CHECK_EQ(fake_deliver(v), -1);
	// The CPU that runs it has no need of a kick; another has.
	fake_run(v);
	v->events = 0;
	vlapic_set_irq(v, 0x88, false);
	CHECK_EQ(fake_posts[0], 2);
	CHECK_EQ(v->events, VCPU_LAPIC);
	fake_cpu = pcpus[1];
	vlapic_set_irq(v, 0x89, false);
	CHECK_EQ(fake_posts[0], 3);
	// Another CPU is about to run it, which ran here last: it is RUNNING already, and its CPU not yet the new one.
	fake_cpu = pcpus[0];
	fake_cpu->running = NULL;
	vlapic_set_irq(v, 0x8a, false);
	CHECK_EQ(fake_posts[0], 4);
}

TEST(silent_eoi)
{
	struct vcpu *v = fake_vm(1)->vcpus[0];

	enable(v);
	CHECK(!vlapic_eoi_is_silent(v));
	vlapic_set_irq(v, 0x40, false);
	CHECK(!vlapic_eoi_is_silent(v));
	fake_deliver(v);
	CHECK(vlapic_eoi_is_silent(v));
	vlapic_set_irq(v, 0x30, false);
	CHECK(!vlapic_eoi_is_silent(v)); // one waits
	vlapic_eoi(v);
	fake_deliver(v);
	vlapic_eoi(v);
	vlapic_tpr_set(v, 0x20);
	CHECK(!vlapic_eoi_is_silent(v));
	vlapic_set_irq(v, 0x50, true);
	fake_deliver(v);
	CHECK(!vlapic_eoi_is_silent(v)); // level
	vlapic_eoi(v);
	vlapic_set_irq(v, 0x50, false); // the same vector as an edge
	fake_deliver(v);
	CHECK(vlapic_eoi_is_silent(v));
}

// ---------------------------------------------------------------- registers and modes

TEST(base_transitions)
{
	struct vcpu *v = fake_vm(1)->vcpus[0];
	gpa_t at;

	CHECK(vlapic_mmio_enabled(v, &at));
	CHECK_EQ(at.v, 0xfee00000);
	CHECK(refused(v, BASE_MSR, BASE_ON | 1));
	CHECK(refused(v, BASE_MSR, BASE_ON | BIT(9)));
	CHECK(refused(v, BASE_MSR, BASE_ON | BIT(52)));
	CHECK(refused(v, BASE_MSR, 0xfee00000ull | BIT(10)));
	CHECK(refused(v, X2(8), 0)); // not in xAPIC mode
	CHECK_EQ(vlapic_msr_write(v, BASE_MSR, BASE_X2), 0);
	CHECK(!vlapic_mmio_enabled(v, &at));
	CHECK_EQ(rdmsr(v, BASE_MSR), BASE_X2 | BIT(8));
	CHECK(refused(v, BASE_MSR, BASE_ON)); // back to xAPIC only through disabled
	CHECK_EQ(vlapic_msr_write(v, X2(8), 0x33), 0);
	CHECK_EQ(vlapic_msr_write(v, BASE_MSR, 0xfee00000ull), 0);
	CHECK(vlapic_accepts_extint(v));
	CHECK(!vlapic_mmio_enabled(v, &at));
	CHECK(refused(v, BASE_MSR, BASE_X2));
	CHECK(refused(v, X2(8), 0));
	CHECK_EQ(vlapic_msr_write(v, BASE_MSR, 0xfee01000ull | BIT(11)), 0);
	CHECK(vlapic_mmio_enabled(v, &at));
	CHECK_EQ(at.v, 0xfee01000);
	CHECK_EQ(vlapic_tpr(v), 0); // lost with the power
}

TEST(disabled_globally)
{
	struct vm *vm = fake_vm(2);
	struct vcpu *v = vm->vcpus[1];

	enable(v);
	vlapic_set_irq(v, 0x40, false);
	CHECK_EQ(vlapic_msr_write(v, BASE_MSR, 0xfee00000ull), 0);
	CHECK_EQ(vlapic_irq_pending(v), -1);
	CHECK(!vlapic_set_irq(v, 0x41, false));
	CHECK_EQ(vlapic_msr_write(v, BASE_MSR, BASE_ON), 0);
	CHECK_EQ(vlapic_irq_pending(v), -1);
	CHECK_EQ(vlapic_mmio_read(v, PAGE(0xf)), 0xff);
}

TEST(disabled_by_software)
{
	struct vcpu *v = fake_vm(1)->vcpus[0];

	enable(v);
	for (u32 i = 0x32; i <= 0x37; i++)
		vlapic_mmio_write(v, PAGE(i), 0x40);
	CHECK_EQ(vlapic_mmio_read(v, PAGE(0x37)), 0x40);
	vlapic_set_irq(v, 0x50, false);
	vlapic_mmio_write(v, PAGE(0xf), 0xff);
	for (u32 i = 0x32; i <= 0x37; i++) {
		CHECK_EQ(vlapic_mmio_read(v, PAGE(i)), 0x10040);
		vlapic_mmio_write(v, PAGE(i), 0x41); // cannot be opened
		CHECK_EQ(vlapic_mmio_read(v, PAGE(i)), 0x10041);
	}
	CHECK_EQ(fake_deliver(v), 0x50); // what had come stays
}

TEST(lint0)
{
	struct vcpu *v = fake_vm(1)->vcpus[0];

	enable(v);
	vlapic_mmio_write(v, PAGE(0x35), 0x10700);
	CHECK(!vlapic_accepts_extint(v));
	v->events = 0;
	vlapic_mmio_write(v, PAGE(0x35), 0x700);
	CHECK(vlapic_accepts_extint(v));
	CHECK_EQ(v->events, VCPU_LAPIC);
	vlapic_mmio_write(v, PAGE(0x35), 0x400); // NMI
	CHECK(!vlapic_accepts_extint(v));
}

TEST(init_keeps_mode)
{
	struct vcpu *v = fake_vm(2)->vcpus[1];

	x2apic(v);
	vlapic_set_irq(v, 0x44, false);
	CHECK_EQ(vlapic_msr_write(v, X2(8), 0x20), 0);
	vlapic_reset(v, true);
	CHECK_EQ(rdmsr(v, BASE_MSR), BASE_X2);
	CHECK_EQ(rdmsr(v, X2(8)), 0);
	CHECK_EQ(rdmsr(v, X2(0x22)), 0);
	CHECK_EQ(rdmsr(v, X2(0xf)), 0xff);
	vlapic_reset(v, false);
	CHECK_EQ(rdmsr(v, BASE_MSR), BASE_ON);
}

// Which MSRs can be read and written in x2APIC mode (SDM table 10-6); others must give #GP.
TEST(x2apic_map)
{
	struct vcpu *v = fake_vm(1)->vcpus[0];
	static const char map[] = // r: read only, w: write only, b: both; from 0x800 on
		"..rr....b.rw.r.brrrrrrrrrrrrrrrrrrrrrrrrb......." // 0x800-0x82f
		"b.bbbbbbbr....bw";                                // 0x830-0x83f
	u64 value;

	x2apic(v);
	for (u32 i = 0; i < 0x100; i++) {
		char c = i < 0x40 ? map[i] : '.';

		CHECK_EQ(vlapic_msr_read(v, X2(i), &value) == 0, c == 'r' || c == 'b');
		// EOI, self-IPI and ICR: 0 sends nothing legal, and does no harm.
		CHECK_EQ(vlapic_msr_write(v, X2(i), 0) == 0, c == 'w' || c == 'b');
	}
}

TEST(x2apic_reserved_bits)
{
	struct vcpu *v = fake_vm(1)->vcpus[0];

	x2apic(v);
	CHECK(refused(v, X2(0xb), 1));
	CHECK(refused(v, X2(8), 0x100));
	CHECK(refused(v, X2(0xf), 0x400));
	CHECK(refused(v, X2(0x28), 1));
	CHECK(refused(v, X2(0x32), 0x100));
	CHECK(refused(v, X2(0x37), 1ull << 32));
	CHECK(refused(v, X2(0x38), 1ull << 32));
	CHECK(refused(v, X2(0x3e), 4));
	CHECK(refused(v, X2(0x3f), 0x100));
	CHECK(refused(v, X2(ICR), 1u << 20 | 0x40));
	CHECK(refused(v, X2(ICR), 1u << 16 | 0x40));
	CHECK(refused(v, X2(ICR), 1u << 13 | 0x40));
	CHECK_EQ(vlapic_irq_pending(v), -1);
}

TEST(x2apic_ids)
{
	struct vm *vm = fake_vm(64);

	x2apic(vm->vcpus[35]);
	CHECK_EQ(rdmsr(vm->vcpus[35], X2(2)), 35);
	CHECK_EQ(rdmsr(vm->vcpus[35], X2(0xd)), 2u << 16 | 1u << 3);
}

TEST(error_status)
{
	struct vcpu *v = fake_vm(1)->vcpus[0];

	enable(v);
	vlapic_mmio_write(v, PAGE(0x37), 0xfe);
	CHECK(!vlapic_set_irq(v, 15, false));
	CHECK_EQ(fake_deliver(v), 0xfe);
	vlapic_eoi(v);
	CHECK_EQ(vlapic_mmio_read(v, PAGE(0x28)), 0); // shows after a write
	vlapic_mmio_write(v, PAGE(ICR), SELF | 3);
	vlapic_mmio_read(v, PAGE(0x00));
	vlapic_mmio_write(v, PAGE(0x3a), 0);
	vlapic_mmio_write(v, PAGE(0x28), 0);
	CHECK_EQ(vlapic_mmio_read(v, PAGE(0x28)), 0xe0);
	vlapic_mmio_write(v, PAGE(0x28), 0);
	CHECK_EQ(vlapic_mmio_read(v, PAGE(0x28)), 0);
	// An illegal error vector must not call itself for ever.
	vlapic_mmio_write(v, PAGE(0x37), 0x05);
	CHECK(!vlapic_set_irq(v, 1, false));
	CHECK_EQ(v->lapic.esr_pending, 0x40);
}

TEST(hostile_register_sweep)
{
	struct vcpu *v = fake_vm(3)->vcpus[1];
	u32 x = 1;

	for (unsigned round = 0; round < 20; round++) {
		for (u32 offset = 0; offset < 4096; offset++) {
			x = x * 1664525 + 1013904223;
			vlapic_mmio_write(v, offset, x);
			vlapic_mmio_read(v, offset);
			fake_deliver(v);
		}
		fake_time(1000000);
	}
	vlapic_destroy(v);
	CHECK(!timer_is_set(&v->lapic.timer));
}

// ---------------------------------------------------------------- messages

static struct vm *xapic_vm(u32 count, bool cluster)
{
	struct vm *vm = fake_vm(count);

	for (u32 i = 0; i < count; i++) {
		struct vcpu *v = vm->vcpus[i];

		enable(v);
		vlapic_mmio_write(v, PAGE(0xe), cluster ? 0x0fffffff : 0xffffffff);
		vlapic_mmio_write(
			v, PAGE(0xd), (cluster ? (i / 4) << 4 | 1u << (i % 4) : 1u << i) << 24);
	}
	return vm;
}

static struct vm *x2apic_vm(u32 count)
{
	struct vm *vm = fake_vm(count);

	for (u32 i = 0; i < count; i++)
		x2apic(vm->vcpus[i]);
	return vm;
}

static u64 xapic_send(struct vm *vm, u32 from, u8 dest, u32 low)
{
	vlapic_mmio_write(vm->vcpus[from], PAGE(0x31), (u32)dest << 24);
	vlapic_mmio_write(vm->vcpus[from], PAGE(ICR), low);
	return who_got(vm, (u8)low);
}

static u64 x2apic_send(struct vm *vm, u32 from, u32 dest, u32 low)
{
	CHECK_EQ(vlapic_msr_write(vm->vcpus[from], X2(ICR), (u64)dest << 32 | low), 0);
	return who_got(vm, (u8)low);
}

TEST(xapic_physical_and_shorthands)
{
	struct vm *vm = xapic_vm(8, false);

	CHECK_EQ(xapic_send(vm, 0, 5, 0x40), BIT(5));
	CHECK_EQ(xapic_send(vm, 0, 0, 0x40), BIT(0));
	CHECK_EQ(xapic_send(vm, 0, 8, 0x40), 0);
	CHECK_EQ(xapic_send(vm, 0, 0xff, 0x40), 0xff);
	CHECK_EQ(xapic_send(vm, 3, 0, SELF | 0x40), BIT(3));
	CHECK_EQ(xapic_send(vm, 3, 0, ALL | 0x40), 0xff);
	CHECK_EQ(xapic_send(vm, 3, 0, OTHERS | 0x40), 0xf7);
	CHECK_EQ(xapic_send(vm, 3, 0, SELF | MODE(APIC_LOWEST) | 0x40), 0); // not defined
	CHECK_EQ(vlapic_mmio_read(vm->vcpus[0], PAGE(0x31)), 0xff000000);
	CHECK_EQ(vlapic_mmio_read(vm->vcpus[0], PAGE(ICR)), 0x40);
}

TEST(xapic_flat)
{
	struct vm *vm = xapic_vm(8, false);

	CHECK_EQ(xapic_send(vm, 0, 0x82, LOGICAL | 0x40), 0x82);
	CHECK_EQ(xapic_send(vm, 0, 0, LOGICAL | 0x40), 0);
	CHECK_EQ(xapic_send(vm, 0, 0xff, LOGICAL | 0x40), 0xff);
}

TEST(xapic_cluster)
{
	struct vm *vm = xapic_vm(12, true);

	CHECK_EQ(xapic_send(vm, 0, 0x15, LOGICAL | 0x40), BIT(4) | BIT(6));
	CHECK_EQ(xapic_send(vm, 0, 0x2f, LOGICAL | 0x40), 0xf00);
	CHECK_EQ(xapic_send(vm, 0, 0x3f, LOGICAL | 0x40), 0);
	CHECK_EQ(xapic_send(vm, 0, 0xff, LOGICAL | 0x40), 0xfff);
}

TEST(x2apic_destinations)
{
	struct vm *vm = x2apic_vm(64);

	CHECK_EQ(x2apic_send(vm, 1, 63, 0x40), BIT(63));
	CHECK_EQ(x2apic_send(vm, 1, 64, 0x40), 0);
	CHECK_EQ(x2apic_send(vm, 1, 0xff, 0x40), 0); // an id, not a broadcast
	CHECK_EQ(x2apic_send(vm, 1, 0xffffffff, 0x40), ~0ull);
	CHECK_EQ(x2apic_send(vm, 1, 2u << 16 | 0x8001, LOGICAL | 0x40), BIT(32) | BIT(47));
	CHECK_EQ(x2apic_send(vm, 1, 4u << 16 | 1, LOGICAL | 0x40), 0);
	CHECK_EQ(x2apic_send(vm, 1, 0, OTHERS | 0x40), ~BIT(1));
	CHECK_EQ(rdmsr(vm->vcpus[1], X2(ICR)), OTHERS | 0x40);
	CHECK_EQ(vlapic_msr_write(vm->vcpus[9], X2(0x3f), 0x66), 0);
	CHECK_EQ(who_got(vm, 0x66), BIT(9));
}

TEST(mixed_modes)
{
	struct vm *vm = xapic_vm(4, false);

	x2apic(vm->vcpus[2]);
	CHECK_EQ(x2apic_send(vm, 2, 1, 0x40), BIT(1)); // by id: mode does not matter
	CHECK_EQ(x2apic_send(vm, 2, 0x0f, LOGICAL | 0x40), 0xf);
	CHECK_EQ(x2apic_send(vm, 2, 0x10001, LOGICAL | 0x40), 0); // no xAPIC has that
	CHECK_EQ(xapic_send(vm, 0, 2, 0x40), BIT(2));
}

TEST(lowest_priority)
{
	struct vm *vm = xapic_vm(4, false);
	u64 seen = 0;

	for (u32 vector = 0x40; vector < 0x44; vector++) {
		u64 got = xapic_send(vm, 0, 0xf, LOGICAL | MODE(APIC_LOWEST) | vector);

		CHECK_EQ(__builtin_popcountll(got), 1);
		CHECK_EQ(got, xapic_send(vm, 0, 0xf, LOGICAL | MODE(APIC_LOWEST) | vector));
		seen |= got;
	}
	CHECK_EQ(seen, 0xf);
	vlapic_mmio_write(vm->vcpus[1], PAGE(0xf), 0xff); // a disabled one is not chosen
	for (u32 vector = 0x40; vector < 0x44; vector++)
		CHECK(xapic_send(vm, 0, 3, LOGICAL | MODE(APIC_LOWEST) | vector) == BIT(0));
}

TEST(nmi_init_sipi)
{
	struct vm *vm = fake_vm(3); // these reach an APIC that software disabled

	vlapic_mmio_write(vm->vcpus[0], PAGE(0x31), 1u << 24);
	vlapic_mmio_write(vm->vcpus[0], PAGE(ICR), MODE(APIC_NMI));
	CHECK_EQ(vm->vcpus[1]->events, VCPU_NMI);
	vlapic_mmio_write(vm->vcpus[0], PAGE(ICR), 0xc500); // INIT, level, assert
	CHECK_EQ(vm->vcpus[1]->events, VCPU_NMI | VCPU_INIT);
	vm->vcpus[1]->events = 0;
	vlapic_mmio_write(vm->vcpus[0], PAGE(ICR), 0x8500); // de-assert
	CHECK_EQ(vm->vcpus[1]->events, 0);
	vlapic_mmio_write(vm->vcpus[0], PAGE(ICR), 0x4600 | 0x9f);
	CHECK_EQ(vm->vcpus[1]->events, VCPU_SIPI);
	CHECK_EQ(vm->vcpus[1]->sipi_vector, 0x9f);
	vlapic_mmio_write(vm->vcpus[0], PAGE(ICR), OTHERS | MODE(APIC_INIT));
	CHECK_EQ(vm->vcpus[0]->events, 0);
	CHECK_EQ(vm->vcpus[2]->events, VCPU_INIT);
	vm->vcpus[1]->events = 0;
	vlapic_mmio_write(vm->vcpus[0], PAGE(ICR), MODE(APIC_SMI));
	vlapic_mmio_write(vm->vcpus[0], PAGE(ICR), MODE(APIC_EXTINT) | 0x40);
	CHECK_EQ(vm->vcpus[1]->events, 0);
}

TEST(msi)
{
	struct vm *vm = xapic_vm(4, false);

	vlapic_msi(vm, 0xfee02000, 0x41);
	CHECK_EQ(who_got(vm, 0x41), BIT(2));
	vlapic_msi(vm, 0xfeeff000, 0x41);
	CHECK_EQ(who_got(vm, 0x41), 0xf);
	vlapic_msi(vm, 0xfee06004, 0x41); // logical
	CHECK_EQ(who_got(vm, 0x41), 6);
	vlapic_msi(vm, 0xfee0f00c, 0x141);
	CHECK_EQ(__builtin_popcountll(who_got(vm, 0x41)), 1);
	vlapic_msi(vm, 0xfee0f00c, 0x41); // the hint alone
	CHECK_EQ(__builtin_popcountll(who_got(vm, 0x41)), 1);
	vlapic_msi(vm, 0xfed00000, 0x41);
	vlapic_msi(vm, 0x1fee02000, 0x41);
	vlapic_msi(vm, 0xfee02000, 0x8041); // level, de-assert
	CHECK_EQ(who_got(vm, 0x41), 0);
	vlapic_msi(vm, 0xfee01000, 0x400);
	CHECK_EQ(vm->vcpus[1]->events & VCPU_NMI, VCPU_NMI);
	vlapic_msi(vm, 0xfee01000, 0xc042);
	CHECK_EQ(vlapic_mmio_read(vm->vcpus[1], PAGE(0x1a)), 4);
}

TEST_MAIN()
