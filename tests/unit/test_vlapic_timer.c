// SPDX-License-Identifier: MIT
// The virtual local APIC's timer on a clock that the test moves (1 tick = 1 ns = 1 count at divisor 1).
// link: kernel/vm/vlapic.c kernel/vm/vlapic_regs.c kernel/vm/vlapic_timer.c kernel/vm/vlapic_ipi.c kernel/vm/vioapic.c
// link: kernel/vm/vpv.c kernel/core/timer.c tests/unit/fake/arch.c tests/unit/fake/guest.c
#include <errno.h>
#include "tests/unit/test.h"
#include "tests/unit/fake/guest.h"

#define LVT      0x320u
#define INITIAL  0x380u
#define CURRENT  0x390u
#define DIVIDE   0x3e0u
#define SVR      0xf0u
#define MASKED   0x10000u
#define PERIODIC 0x20000u
#define DEADLINE 0x40000u
#define VECTOR   0xecu
#define BY_1     0xbu
#define BY_2     0x0u
#define BY_128   0xau

static struct vcpu *start(u32 lvt, u32 divide)
{
	struct vcpu *v = fake_vm(1)->vcpus[0];

	vlapic_mmio_write(v, SVR, 0x1ff);
	vlapic_mmio_write(v, DIVIDE, divide);
	vlapic_mmio_write(v, LVT, lvt);
	return v;
}

static u32 current(struct vcpu *v)
{
	return vlapic_mmio_read(v, CURRENT);
}

// Did the timer interrupt since the last question?
static bool fired(struct vcpu *v)
{
	int vector = fake_deliver(v);

	if (vector >= 0)
		vlapic_eoi(v);
	return vector == (int)VECTOR;
}

static void set_deadline(struct vcpu *v, u64 guest_tsc)
{
	CHECK_EQ(vlapic_msr_write(v, 0x6e0, guest_tsc), 0);
}

static u64 get_deadline(struct vcpu *v)
{
	u64 value = 1;

	CHECK_EQ(vlapic_msr_read(v, 0x6e0, &value), 0);
	return value;
}

TEST(one_shot)
{
	struct vcpu *v = start(VECTOR, BY_1);

	CHECK_EQ(current(v), 0);
	vlapic_mmio_write(v, INITIAL, 1000);
	CHECK_EQ(current(v), 1000);
	fake_time(400);
	CHECK_EQ(current(v), 600);
	CHECK(!fired(v));
	fake_time(599);
	CHECK_EQ(current(v), 1);
	CHECK(!fired(v));
	fake_time(1);
	CHECK_EQ(current(v), 0);
	CHECK(fired(v));
	CHECK_EQ(vlapic_mmio_read(v, INITIAL), 1000);
	fake_time(100000);
	CHECK(!fired(v));
	CHECK(!timer_is_set(&v->lapic.timer));
	vlapic_mmio_write(v, INITIAL, 1000);
	vlapic_mmio_write(v, INITIAL, 0); // stops it
	fake_time(2000);
	CHECK(!fired(v));
}

TEST(divisors)
{
	static const struct {
		u32 dcr, by;
	} d[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};

	for (unsigned i = 0; i < ARRAY_SIZE(d); i++) {
		struct vcpu *v = start(VECTOR, d[i].dcr);

		vlapic_mmio_write(v, INITIAL, 100);
		fake_time(d[i].by * 30);
		CHECK_EQ(current(v), 70);
		fake_time(d[i].by * 70 - 1);
		CHECK(!fired(v));
		fake_time(1);
		CHECK(fired(v));
	}
}

TEST(divisor_changes_on_the_way)
{
	struct vcpu *v = start(VECTOR, BY_2);

	vlapic_mmio_write(v, INITIAL, 1000);
	fake_time(800);
	CHECK_EQ(current(v), 600);
	vlapic_mmio_write(v, DIVIDE, BY_128);
	CHECK_EQ(current(v), 600);
	fake_time(128 * 599);
	CHECK_EQ(current(v), 1);
	CHECK(!fired(v));
	fake_time(128);
	CHECK(fired(v));
}

TEST(longest_count)
{
	struct vcpu *v = start(VECTOR, BY_128);

	vlapic_mmio_write(v, INITIAL, 0xffffffff);
	fake_time(0xffffffffull * 128 - 1);
	CHECK(!fired(v));
	fake_time(1);
	CHECK(fired(v));
}

TEST(periodic)
{
	struct vcpu *v = start(VECTOR | PERIODIC, BY_1);

	vlapic_mmio_write(v, INITIAL, 100000);
	for (unsigned i = 0; i < 5; i++) {
		fake_time(99999);
		CHECK(!fired(v));
		CHECK_EQ(current(v), 1);
		fake_time(1);
		CHECK(fired(v));
		CHECK_EQ(current(v), 100000);
	}
	fake_time(750000); // late: one interrupt, and the beat is kept
	CHECK(fired(v));
	CHECK(!fired(v));
	fake_time(49999);
	CHECK(!fired(v));
	fake_time(1);
	CHECK(fired(v));
}

TEST(periodic_is_bounded)
{
	struct vcpu *v = start(VECTOR | PERIODIC, BY_1);
	unsigned count = 0;

	vlapic_mmio_write(v, INITIAL, 1);
	for (unsigned i = 0; i < 1000; i++) {
		fake_time(1000);
		count += fired(v);
		CHECK_EQ(current(v), 1);
	}
	CHECK_EQ(count, 1000 * 1000 / VLAPIC_PERIOD_MIN_NS);
}

TEST(masked_costs_nothing)
{
	struct vcpu *v = start(VECTOR | PERIODIC | MASKED, BY_1);

	vlapic_mmio_write(v, INITIAL, 100000);
	CHECK(!timer_is_set(&v->lapic.timer));
	fake_time(250000);
	CHECK_EQ(current(v), 50000); // it counts all the same
	CHECK(!fired(v));
	vlapic_mmio_write(v, LVT, VECTOR | PERIODIC);
	fake_time(49999);
	CHECK(!fired(v));
	fake_time(1);
	CHECK(fired(v));
	vlapic_mmio_write(v, LVT, VECTOR | PERIODIC | MASKED);
	CHECK(!timer_is_set(&v->lapic.timer));
}

TEST(one_shot_unmasked_on_the_way)
{
	struct vcpu *v = start(VECTOR | MASKED, BY_1);

	vlapic_mmio_write(v, INITIAL, 1000);
	fake_time(500);
	vlapic_mmio_write(v, LVT, VECTOR);
	fake_time(500);
	CHECK(fired(v));
	vlapic_mmio_write(v, LVT, VECTOR | MASKED);
	vlapic_mmio_write(v, INITIAL, 1000);
	fake_time(1500);
	vlapic_mmio_write(v, LVT, VECTOR); // too late: it has gone off unheard
	fake_time(5000);
	CHECK(!fired(v));
}

TEST(disabled_apic_stops_the_timer)
{
	struct vcpu *v = start(VECTOR | PERIODIC, BY_1);

	vlapic_mmio_write(v, INITIAL, 100000);
	vlapic_mmio_write(v, SVR, 0xff);
	CHECK(!timer_is_set(&v->lapic.timer));
	vlapic_mmio_write(v, SVR, 0x1ff);
	vlapic_mmio_write(v, LVT, VECTOR | PERIODIC);
	CHECK(timer_is_set(&v->lapic.timer));
	vlapic_reset(v, true);
	CHECK(!timer_is_set(&v->lapic.timer));
	CHECK_EQ(vlapic_mmio_read(v, INITIAL), 0);
}

TEST(tsc_deadline)
{
	struct vcpu *v = start(VECTOR | DEADLINE, BY_1);
	u64 base = vm_tsc(v->vm);

	CHECK_EQ(base, 0); // 1000 ticks after the host's
	set_deadline(v, 5000);
	CHECK_EQ(get_deadline(v), 5000);
	fake_time(4999);
	CHECK(!fired(v));
	CHECK_EQ(fake_armed[0], 6000); // the host's clock is ahead
	fake_time(1);
	CHECK(fired(v));
	CHECK_EQ(get_deadline(v), 0);
	set_deadline(v, 4000); // past: at once
	CHECK(fired(v));
	CHECK_EQ(get_deadline(v), 0);
	set_deadline(v, 7000);
	set_deadline(v, 9000); // moved
	fake_time(3999);
	CHECK(!fired(v));
	fake_time(1);
	CHECK(fired(v));
	set_deadline(v, 20000);
	set_deadline(v, 0); // disarmed
	fake_time(20000);
	CHECK(!fired(v));
	CHECK_EQ(vlapic_mmio_read(v, CURRENT), 0);
	vlapic_mmio_write(v, INITIAL, 1000); // ignored in this mode
	CHECK_EQ(vlapic_mmio_read(v, INITIAL), 0);
	fake_time(2000);
	CHECK(!fired(v));
}

TEST(tsc_deadline_far_away)
{
	struct vcpu *v = start(VECTOR | DEADLINE, BY_1);

	set_deadline(v, ~0ull);
	CHECK(!timer_is_set(&v->lapic.timer));
	CHECK_EQ(get_deadline(v), ~0ull);
	set_deadline(v, ~0ull - 1001);
	CHECK(timer_is_set(&v->lapic.timer));
	set_deadline(v, ~0ull - 1000);
	CHECK(!timer_is_set(&v->lapic.timer));
	vlapic_mmio_write(v, LVT, VECTOR | DEADLINE | MASKED);
	vlapic_mmio_write(v, LVT, VECTOR | DEADLINE);
	CHECK(!timer_is_set(&v->lapic.timer));
	CHECK(!fired(v));
}

TEST(tsc_deadline_masked)
{
	struct vcpu *v = start(VECTOR | DEADLINE | MASKED, BY_1);

	set_deadline(v, 5000);
	CHECK(!timer_is_set(&v->lapic.timer));
	CHECK_EQ(get_deadline(v), 5000);
	vlapic_mmio_write(v, LVT, VECTOR | DEADLINE);
	fake_time(5000);
	CHECK(fired(v));
	vlapic_mmio_write(v, LVT, VECTOR | DEADLINE | MASKED);
	set_deadline(v, 6000);
	fake_time(2000);
	vlapic_mmio_write(v, LVT, VECTOR | DEADLINE);
	fake_time(2000);
	CHECK(!fired(v));
}

TEST(modes_disarm_each_other)
{
	struct vcpu *v = start(VECTOR | DEADLINE, BY_1);

	set_deadline(v, 5000);
	vlapic_mmio_write(v, LVT, VECTOR);
	CHECK(!timer_is_set(&v->lapic.timer));
	CHECK_EQ(get_deadline(v), 0);
	set_deadline(v, 5000); // ignored in this mode
	CHECK_EQ(get_deadline(v), 0);
	vlapic_mmio_write(v, INITIAL, 1000);
	vlapic_mmio_write(v, LVT, VECTOR | DEADLINE);
	CHECK_EQ(vlapic_mmio_read(v, INITIAL), 0);
	fake_time(10000);
	CHECK(!fired(v));
}

TEST(fires_where_the_vcpu_was)
{
	struct vcpu *v = start(VECTOR | DEADLINE, BY_1);

	fake_run(v);
	set_deadline(v, 5000);
	fake_cpu = pcpus[1]; // it runs there from now on
	fake_run(v);
	fake_posts[0] = 0;
	fake_cpu = pcpus[0];
	fake_time(5000);
	CHECK_EQ(fake_posts[0], 1); // another CPU: it must be told
	CHECK(fired(v));
	set_deadline(v, 9000);
	fake_cpu = pcpus[1];
	set_deadline(v, 8000); // moves the timer along
	CHECK_EQ(v->lapic.timer.pcpu->id, 1);
	fake_time(3000);
	CHECK_EQ(fake_posts[0], 1); // its own CPU
	CHECK(fired(v));
}

TEST(illegal_vector)
{
	struct vcpu *v = start(7, BY_1);

	vlapic_mmio_write(v, INITIAL, 10);
	fake_time(10);
	CHECK_EQ(vlapic_irq_pending(v), -1);
	vlapic_mmio_write(v, 0x280, 0);
	CHECK_EQ(vlapic_mmio_read(v, 0x280), 0x40);
}

TEST_MAIN()
