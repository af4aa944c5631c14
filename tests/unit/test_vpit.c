// SPDX-License-Identifier: MIT
// The 8254 against its data sheet, and what its interrupt costs.
// link: kernel/vm/vpit.c kernel/core/timer.c tests/unit/fake/arch.c
#include "kernel/vm/vclock.h"
#include "tests/unit/irq_fake.h"

static struct vpit *pit = &vm.pc.pit;

// Nanoseconds in which the counter has taken n steps.
static u64 clocks(u64 n)
{
	return (n * NS_PER_SEC + VPIT_HZ - 1) / VPIT_HZ;
}

static void setup(void)
{
	pc_fake_reset();
	irq0_visible = true;
	irq0_latched = 0;
	vpit_init(pit, &vm);
}

static void program(unsigned channel, unsigned mode, u16 count)
{
	vpit_write(pit, 0x43, (u8)(channel << 6 | 0x30 | mode << 1));
	vpit_write(pit, (u16)(0x40 + channel), (u8)count);
	vpit_write(pit, (u16)(0x40 + channel), (u8)(count >> 8));
}

static u16 count(unsigned channel)
{
	u8 low;

	vpit_write(pit, 0x43, (u8)(channel << 6));
	low = vpit_read(pit, (u16)(0x40 + channel));
	return (u16)(low | vpit_read(pit, (u16)(0x40 + channel)) << 8);
}

static u8 status(unsigned channel)
{
	vpit_write(pit, 0x43, (u8)(0xe0 | 2u << channel));
	return vpit_read(pit, (u16)(0x40 + channel));
}

TEST(counts_down_and_wraps)
{
	setup();
	program(0, 0, 1000);
	run_to(clocks(400));
	CHECK_EQ(count(0), 600);
	CHECK_EQ(status(0), 0x30);
	run_to(clocks(1000));
	CHECK_EQ(count(0), 0);
	CHECK_EQ(status(0), 0xb0);
	run_to(clocks(1001));
	CHECK_EQ(count(0), 0xffff);
}

TEST(mode_0_interrupts_once)
{
	setup();
	program(0, 0, 1000);
	run_to(clocks(999));
	CHECK_EQ(irq_rises[0], 0);
	run_to(clocks(1003));
	CHECK_EQ(irq_rises[0], 1);
	CHECK(!timer_is_set(&pit->timer));
	run_to(clocks(200000));
	CHECK_EQ(irq_rises[0], 1);
	CHECK(irq_level[0]);
	program(0, 0, 10);
	CHECK(!irq_level[0]);
	run_to(clocks(200020));
	CHECK_EQ(irq_rises[0], 2);
}

TEST(mode_2_is_periodic_without_drift)
{
	setup();
	program(0, 2, 11932);
	run_to(NS_PER_SEC);
	CHECK_EQ(irq_rises[0], 99); // 99.998 Hz
	CHECK_EQ(count(0), 11932 - 1193182 % 11932);
	run_to(10 * NS_PER_SEC);
	CHECK_EQ(irq_rises[0], 11931820 / 11932);
}

TEST(mode_3_shows_a_square)
{
	setup();
	program(0, 3, 1000);
	run_to(clocks(100));
	CHECK_EQ(count(0), 800);
	CHECK_EQ(status(0), 0xb6);
	run_to(clocks(600));
	CHECK_EQ(count(0), 800);
	CHECK_EQ(status(0), 0x36);
	run_to(clocks(10003));
	CHECK_EQ(irq_rises[0], 10);
}

TEST(mode_4_strobes)
{
	setup();
	program(0, 4, 100);
	run_to(clocks(99));
	CHECK_EQ(irq_rises[0], 0);
	run_to(clocks(104));
	CHECK_EQ(irq_rises[0], 1);
	run_to(clocks(100000));
	CHECK_EQ(irq_rises[0], 1);
}

TEST(too_fast_a_period_is_bounded)
{
	setup();
	program(0, 2, 2);
	run_to(NS_PER_SEC);
	CHECK(irq_rises[0] <= NS_PER_SEC / VPIT_MIN_PERIOD_NS);
	CHECK(irq_rises[0] > 9000);
	program(0, 2, 1);
	program(0, 3, 1);
	run_to(NS_PER_SEC + 1000000);
}

TEST(masked_costs_nothing)
{
	setup();
	irq0_visible = false;
	program(0, 2, 1193);
	CHECK(!timer_is_set(&pit->timer));
	run_to(NS_PER_SEC);
	CHECK_EQ(irq_rises[0], 0);
	vpit_look(pit);
	CHECK_EQ(irq0_latched, 1); // a thousand edges are one in the PIC
	vpit_look(pit);
	CHECK_EQ(irq0_latched, 1);
	irq0_visible = true;
	vpit_update(pit);
	CHECK_EQ(irq_rises[0], 0);
	CHECK(timer_is_set(&pit->timer));
	run_to(NS_PER_SEC + 10 * clocks(1193) + 2000);
	CHECK_EQ(irq_rises[0], 10);
	irq0_visible = false;
	run_to(2 * NS_PER_SEC);
	CHECK_EQ(irq_rises[0], 10);
	CHECK(!timer_is_set(&pit->timer));
}

TEST(channel_2_by_port_61)
{
	setup();
	vpit_port61_write(pit, 0);
	program(2, 0, 1000);
	run_to(clocks(500));
	CHECK_EQ(count(2), 1000); // the gate is low
	vpit_port61_write(pit, 1);
	CHECK_EQ(vpit_port61_read(pit) & 0x23, 0x01);
	run_to(clocks(1499));
	CHECK_EQ(vpit_port61_read(pit) & 0x20, 0);
	run_to(clocks(1502));
	CHECK_EQ(vpit_port61_read(pit) & 0x23, 0x21);
	vpit_port61_write(pit, 3);
	CHECK_EQ(vpit_port61_read(pit) & 3, 3);
	CHECK_EQ(irq_rises[0], 0);
}

TEST(gate_pauses_and_retriggers)
{
	setup();
	vpit_port61_write(pit, 1);
	program(2, 0, 1000);
	run_to(clocks(300));
	vpit_port61_write(pit, 0);
	run_to(clocks(900));
	CHECK_EQ(count(2), 700);
	vpit_port61_write(pit, 1);
	run_to(clocks(1000));
	CHECK(count(2) >= 599 && count(2) <= 600);
	program(2, 1, 100); // one-shot: waits for a rising gate
	run_to(clocks(2000));
	CHECK_EQ(vpit_port61_read(pit) & 0x20, 0x20);
	vpit_port61_write(pit, 0);
	vpit_port61_write(pit, 1);
	CHECK_EQ(vpit_port61_read(pit) & 0x20, 0);
	run_to(clocks(2102));
	CHECK_EQ(vpit_port61_read(pit) & 0x20, 0x20);
	program(2, 3, 100); // a square stands still and high while the gate is low
	vpit_port61_write(pit, 0);
	run_to(clocks(3000));
	CHECK_EQ(vpit_port61_read(pit) & 0x20, 0x20);
}

TEST(refresh_bit_toggles)
{
	unsigned seen = 0;

	setup();
	for (u64 t = 0; t < 200000; t += 5000) {
		run_to(t);
		seen |= vpit_port61_read(pit) & 0x10 ? 2 : 1;
	}
	CHECK_EQ(seen, 3);
}

TEST(latches)
{
	setup();
	program(0, 2, 10000);
	run_to(clocks(100));
	vpit_write(pit, 0x43, 0x00);
	run_to(clocks(300));
	vpit_write(pit, 0x43, 0x00); // the first one stands
	CHECK_EQ(vpit_read(pit, 0x40), 9900 & 0xff);
	CHECK_EQ(vpit_read(pit, 0x40), 9900 >> 8);
	CHECK_EQ(vpit_read(pit, 0x40), 9700 & 0xff);
	CHECK_EQ(vpit_read(pit, 0x40), 9700 >> 8);
	vpit_write(pit, 0x43, 0xc2); // read back count and status: status comes first
	CHECK_EQ(vpit_read(pit, 0x40), 0xb4);
	CHECK_EQ(vpit_read(pit, 0x40), 9700 & 0xff);
	CHECK_EQ(vpit_read(pit, 0x40), 9700 >> 8);
	vpit_write(pit, 0x43, 0x34);
	CHECK_EQ(status(0) & 0x40, 0x40); // no count yet
	CHECK_EQ(vpit_read(pit, 0x43), 0xff);
}

TEST(one_byte_access_and_bcd)
{
	setup();
	vpit_write(pit, 0x43, 0x14); // low byte, mode 2
	vpit_write(pit, 0x40, 100);
	run_to(clocks(30));
	CHECK_EQ(vpit_read(pit, 0x40), 70);
	CHECK_EQ(vpit_read(pit, 0x40), 70);
	vpit_write(pit, 0x43, 0x24); // high byte
	vpit_write(pit, 0x40, 2);
	CHECK_EQ(vpit_read(pit, 0x40), 2);
	vpit_write(pit, 0x43, 0x35); // BCD
	vpit_write(pit, 0x40, 0x00);
	vpit_write(pit, 0x40, 0x10);
	run_to(clocks(30) + clocks(1));
	CHECK_EQ(count(0), 0x999);
	vpit_write(pit, 0x43, 0x35);
	vpit_write(pit, 0x40, 0);
	vpit_write(pit, 0x40, 0); // ten thousand
	CHECK_EQ(count(0), 0);
}

TEST(zero_is_65536)
{
	setup();
	program(0, 2, 0);
	run_to(clocks(65536 * 3) + 3000);
	CHECK_EQ(irq_rises[0], 3);
}

TEST(destroy_leaves_no_timer)
{
	setup();
	program(0, 2, 1000);
	CHECK(timer_is_set(&pit->timer));
	vpit_destroy(pit);
	CHECK(!timer_is_set(&pit->timer));
	vpit_update(pit);
	CHECK(!timer_is_set(&pit->timer));
}

TEST(any_bytes_do_no_harm)
{
	setup();
	srand(1);
	for (unsigned i = 0; i < 200000; i++) {
		u16 port = (u16)(0x40 + rand() % 4);

		if (rand() & 1)
			vpit_write(pit, port, (u8)rand());
		else
			vpit_read(pit, port);
		vpit_port61_write(pit, (u8)rand());
		irq0_visible = rand() & 1;
		vpit_look(pit);
		vpit_update(pit);
		run_to(fake_now + (u64)(rand() % 100000));
	}
	CHECK(irq_rises[0] > 100);
}

TEST_MAIN()
