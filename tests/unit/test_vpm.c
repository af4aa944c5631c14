// SPDX-License-Identifier: MIT
// ACPI power management: events, power-off, the PM timer.
// link: kernel/vm/vpm.c kernel/core/timer.c tests/unit/fake/arch.c
#include "kernel/vm/vclock.h"
#include "tests/unit/irq_fake.h"

static struct vpm *pm = &vm.pc.pm;

#define STATUS  0x600
#define ENABLE  0x602
#define CONTROL 0x604
#define TIMER   0x608

static void setup(void)
{
	pc_fake_reset();
	vpm_init(pm, &vm);
}

TEST(acpi_mode_from_the_start)
{
	setup();
	CHECK_EQ(vpm_read(pm, CONTROL, 2), 0x0001);
	CHECK_EQ(vpm_read(pm, STATUS, 4), 0);
	vpm_write(pm, CONTROL, 2, 0);
	CHECK_EQ(vpm_read(pm, CONTROL, 2), 0x0001);
}

TEST(power_off)
{
	setup();
	vpm_write(pm, CONTROL, 2, 5 << 10); // the type alone does nothing
	CHECK_EQ(ended, VM_END_NONE);
	CHECK_EQ(vpm_read(pm, CONTROL, 2), 5 << 10 | 1);
	vpm_write(pm, CONTROL, 2, 1 << 10 | 1 << 13); // S1 is not there
	CHECK_EQ(ended, VM_END_NONE);
	vpm_write(pm, CONTROL, 2, 5 << 10 | 1 << 13);
	CHECK_EQ(ended, VM_END_POWEROFF);
	CHECK_EQ(vpm_read(pm, CONTROL, 2) >> 13 & 1, 0);
}

TEST(power_off_by_bytes)
{
	setup();
	vpm_write(pm, CONTROL, 1, 0);
	vpm_write(pm, CONTROL + 1, 1, 0x34);
	CHECK_EQ(ended, VM_END_POWEROFF);
}

TEST(power_button)
{
	setup();
	vpm_power_button(&vm);
	CHECK_EQ(vpm_read(pm, STATUS, 2), 0x100);
	CHECK(!irq_level[9]);
	vpm_write(pm, ENABLE, 2, 0x100);
	CHECK(irq_level[9]);
	vpm_write(pm, STATUS, 2, 0x001); // another bit
	CHECK(irq_level[9]);
	vpm_write(pm, STATUS + 1, 1, 0x01);
	CHECK(!irq_level[9]);
	CHECK_EQ(vpm_read(pm, STATUS, 2), 0);
	CHECK_EQ(vpm_read(pm, ENABLE, 2), 0x100);
	CHECK_EQ(vpm_read(pm, STATUS, 4), 0x100u << 16);
}

TEST(timer_counts)
{
	setup();
	CHECK_EQ(vpm_read(pm, TIMER, 4), 0);
	run_to(NS_PER_SEC);
	CHECK_EQ(vpm_read(pm, TIMER, 4), 3579545);
	CHECK_EQ(vpm_read(pm, TIMER + 1, 1) & 0xff, 3579545 >> 8 & 0xff);
	run_to(1200 * NS_PER_SEC);
	CHECK_EQ(vpm_read(pm, TIMER, 4), 1200ull * 3579545 & 0xffffffff);
	vpm_write(pm, TIMER, 4, 5);
	CHECK_EQ(vpm_read(pm, TIMER, 4), 1200ull * 3579545 & 0xffffffff);
}

TEST(timer_event)
{
	setup();
	run_to(599 * NS_PER_SEC);
	CHECK_EQ(vpm_read(pm, STATUS, 2), 0);
	run_to(601 * NS_PER_SEC); // bit 31 changes after 599.9 s
	CHECK_EQ(vpm_read(pm, STATUS, 2), 1);
	CHECK(!irq_level[9]);
	CHECK(!timer_is_set(&pm->timer));
	vpm_write(pm, STATUS, 2, 1);
	vpm_write(pm, ENABLE, 2, 1);
	CHECK(timer_is_set(&pm->timer));
	run_to(1199 * NS_PER_SEC);
	CHECK_EQ(irq_rises[9], 0);
	run_to(1201 * NS_PER_SEC);
	CHECK_EQ(irq_rises[9], 1);
	CHECK(!timer_is_set(&pm->timer));
}

TEST(writes_across_registers)
{
	setup();
	vpm_power_button(&vm);
	vpm_write(pm, STATUS, 4, 0x01210000); // status untouched, enable set
	CHECK_EQ(vpm_read(pm, STATUS, 4), 0x01210100);
	CHECK(irq_level[9]);
	vpm_reset(pm);
	CHECK(!irq_level[9]);
	CHECK_EQ(vpm_read(pm, STATUS, 4), 0);
}

TEST(destroy_leaves_no_timer)
{
	setup();
	vpm_write(pm, ENABLE, 2, 1);
	CHECK(timer_is_set(&pm->timer));
	vpm_destroy(pm);
	CHECK(!timer_is_set(&pm->timer));
	vpm_read(pm, STATUS, 2);
	CHECK(!timer_is_set(&pm->timer));
}

TEST_MAIN()
