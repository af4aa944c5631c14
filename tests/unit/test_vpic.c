// SPDX-License-Identifier: MIT
// The 8259 pair against its data sheet.
// link: kernel/vm/vpic.c
#include "kernel/vm/vpic.h"
#include "tests/unit/test.h"

static struct vpic p;

// As a PC's firmware or kernel does it: master at 20h, slave at 28h.
static void setup_mode(u8 icw1, u8 icw4)
{
	static const u16 ports[2] = {0x20, 0xa0};
	static const u8 base[2] = {0x20, 0x28}, wires[2] = {4, 2};

	vpic_reset(&p);
	for (int i = 0; i < 2; i++) {
		vpic_write(&p, ports[i], icw1);
		vpic_write(&p, ports[i] + 1, base[i]);
		vpic_write(&p, ports[i] + 1, wires[i]);
		vpic_write(&p, ports[i] + 1, icw4);
	}
}

static void setup(void)
{
	setup_mode(0x11, 0x01);
}

static void pulse(unsigned irq)
{
	vpic_line_set(&p, irq, false);
	vpic_line_set(&p, irq, true);
}

static u8 irr(u16 port)
{
	vpic_write(&p, port, 0x0a);
	return vpic_read(&p, port);
}

static u8 isr(u16 port)
{
	vpic_write(&p, port, 0x0b);
	return vpic_read(&p, port);
}

TEST(silent_after_power_on)
{
	vpic_reset(&p);
	for (unsigned i = 0; i < 16; i++)
		pulse(i);
	CHECK(!vpic_pending(&p));
	CHECK_EQ(vpic_read(&p, 0x21), 0xff);
}

TEST(mask_reads_back)
{
	setup();
	CHECK_EQ(vpic_read(&p, 0x21), 0);
	vpic_write(&p, 0x21, 0xfb);
	vpic_write(&p, 0xa1, 0x5a);
	CHECK_EQ(vpic_read(&p, 0x21), 0xfb);
	CHECK_EQ(vpic_read(&p, 0xa1), 0x5a);
	CHECK(vpic_masked(&p, 0));
	CHECK(vpic_masked(&p, 9));
	CHECK(!vpic_masked(&p, 8));
	vpic_write(&p, 0x21, 0xff);
	CHECK(vpic_masked(&p, 8)); // behind the cascade
}

TEST(edge_is_served_once)
{
	setup();
	pulse(4);
	CHECK(vpic_pending(&p));
	CHECK_EQ(irr(0x20), 0x10);
	CHECK_EQ(vpic_ack(&p), 0x24);
	CHECK_EQ(irr(0x20), 0);
	CHECK_EQ(isr(0x20), 0x10);
	CHECK(!vpic_pending(&p));
	vpic_write(&p, 0x20, 0x20);
	CHECK_EQ(isr(0x20), 0);
	CHECK(!vpic_pending(&p)); // the line is still up, but no new edge came
	pulse(4);
	CHECK(vpic_pending(&p));
}

TEST(priority_and_nesting)
{
	setup();
	pulse(3);
	pulse(1);
	CHECK_EQ(vpic_ack(&p), 0x21);
	CHECK(!vpic_pending(&p)); // 3 waits for 1
	pulse(0);
	CHECK(vpic_pending(&p)); // 0 is above 1
	CHECK_EQ(vpic_ack(&p), 0x20);
	vpic_write(&p, 0x20, 0x20);
	CHECK_EQ(isr(0x20), 0x02);
	vpic_write(&p, 0x20, 0x20);
	CHECK_EQ(vpic_ack(&p), 0x23);
}

TEST(slave_through_cascade)
{
	setup();
	pulse(8);
	pulse(12);
	CHECK_EQ(vpic_ack(&p), 0x28);
	CHECK_EQ(isr(0x20), 0x04);
	CHECK_EQ(isr(0xa0), 0x01);
	vpic_write(&p, 0xa0, 0x20);
	vpic_write(&p, 0x20, 0x20);
	CHECK(vpic_pending(&p));
	CHECK_EQ(vpic_ack(&p), 0x2c);
	pulse(3);
	CHECK(!vpic_pending(&p)); // below the cascade
	pulse(1);
	CHECK_EQ(vpic_ack(&p), 0x21);
}

TEST(special_fully_nested)
{
	setup_mode(0x11, 0x11);
	pulse(12);
	CHECK_EQ(vpic_ack(&p), 0x2c);
	pulse(9);
	CHECK(vpic_pending(&p)); // more urgent on the same slave
	CHECK_EQ(vpic_ack(&p), 0x29);
	setup();
	pulse(12);
	vpic_ack(&p);
	pulse(9);
	CHECK(!vpic_pending(&p));
}

TEST(spurious)
{
	setup();
	pulse(3);
	vpic_line_set(&p, 3, false);
	CHECK(!vpic_pending(&p));
	CHECK_EQ(vpic_ack(&p), 0x27);
	CHECK_EQ(isr(0x20), 0);
}

TEST(level_triggered)
{
	setup();
	vpic_write(&p, 0x4d1, 0xff);
	CHECK_EQ(vpic_read(&p, 0x4d1), 0xde); // not the RTC, not the coprocessor
	vpic_line_set(&p, 9, true);
	CHECK_EQ(vpic_ack(&p), 0x29);
	vpic_write(&p, 0xa0, 0x20);
	vpic_write(&p, 0x20, 0x20);
	CHECK(vpic_pending(&p)); // still up
	CHECK_EQ(vpic_ack(&p), 0x29);
	vpic_line_set(&p, 9, false);
	vpic_write(&p, 0xa0, 0x20);
	vpic_write(&p, 0x20, 0x20);
	CHECK(!vpic_pending(&p));
}

TEST(masked_edge_waits)
{
	setup();
	vpic_write(&p, 0x21, 0x02);
	pulse(1);
	CHECK(!vpic_pending(&p));
	vpic_write(&p, 0x21, 0x00);
	CHECK(vpic_pending(&p));
	CHECK_EQ(vpic_ack(&p), 0x21);
}

TEST(specific_and_rotating_eoi)
{
	setup();
	pulse(5);
	vpic_ack(&p);
	vpic_write(&p, 0x20, 0x60 | 4); // another one: nothing happens to 5
	CHECK_EQ(isr(0x20), 0x20);
	vpic_write(&p, 0x20, 0x60 | 5);
	CHECK_EQ(isr(0x20), 0);
	pulse(5);
	vpic_ack(&p);
	vpic_write(&p, 0x20, 0xa0); // rotate: 5 is the lowest now, 6 the highest
	pulse(5);
	pulse(6);
	pulse(0);
	CHECK_EQ(vpic_ack(&p), 0x26);
	vpic_write(&p, 0x20, 0xe0 | 6); // rotate on a specific one: 7, 0, ..
	CHECK_EQ(vpic_ack(&p), 0x20);
	vpic_write(&p, 0x20, 0x20);
	CHECK_EQ(vpic_ack(&p), 0x25);
	vpic_write(&p, 0x20, 0x20);
	vpic_write(&p, 0x20, 0xc0 | 0); // set priority: 0 lowest, 1 highest
	pulse(0);
	pulse(7);
	CHECK_EQ(vpic_ack(&p), 0x27);
}

TEST(auto_eoi)
{
	setup_mode(0x11, 0x03);
	pulse(4);
	CHECK_EQ(vpic_ack(&p), 0x24);
	CHECK_EQ(isr(0x20), 0);
	vpic_write(&p, 0x20, 0x80); // rotate in automatic EOI
	pulse(4);
	CHECK_EQ(vpic_ack(&p), 0x24);
	pulse(4);
	pulse(5);
	CHECK_EQ(vpic_ack(&p), 0x25); // 4 became the lowest
	vpic_write(&p, 0x20, 0x00);
}

TEST(special_mask)
{
	setup();
	pulse(1);
	vpic_ack(&p);
	pulse(6);
	CHECK(!vpic_pending(&p));
	vpic_write(&p, 0x21, 0x02);
	vpic_write(&p, 0x20, 0x68); // special mask mode on
	CHECK(vpic_pending(&p));
	CHECK_EQ(vpic_ack(&p), 0x26);
	vpic_write(&p, 0x20, 0x20); // not the masked one
	CHECK_EQ(isr(0x20), 0x02);
	vpic_write(&p, 0x20, 0x48); // off
	vpic_write(&p, 0x20, 0x20);
	CHECK_EQ(isr(0x20), 0);
}

TEST(poll)
{
	setup();
	vpic_write(&p, 0x20, 0x0c);
	CHECK_EQ(vpic_read(&p, 0x20), 0);
	pulse(6);
	vpic_write(&p, 0x20, 0x0c);
	CHECK_EQ(vpic_read(&p, 0x20), 0x86);
	CHECK_EQ(isr(0x20), 0x40);
	CHECK(!vpic_pending(&p));
}

TEST(slave_in_auto_eoi_keeps_giving_edges)
{
	setup_mode(0x11, 0x03);
	pulse(9);
	pulse(10);
	CHECK_EQ(vpic_ack(&p), 0x29);
	CHECK(vpic_pending(&p));
	CHECK_EQ(vpic_ack(&p), 0x2a);
	CHECK(!vpic_pending(&p));
}

TEST(half_initialized_is_silent)
{
	setup();
	vpic_write(&p, 0x20, 0x11);
	pulse(1);
	CHECK(!vpic_pending(&p));
	vpic_write(&p, 0x21, 0x47);
	vpic_write(&p, 0x21, 0x04);
	vpic_write(&p, 0x21, 0x01);
	CHECK_EQ(vpic_ack(&p), 0x41);
	vpic_write(&p, 0x20, 0x13); // single: no third word
	vpic_write(&p, 0x21, 0x30);
	vpic_write(&p, 0x21, 0x01);
	pulse(0);
	CHECK_EQ(vpic_ack(&p), 0x30);
}

TEST(lines_out_of_range)
{
	setup();
	vpic_line_set(&p, 2, true);
	vpic_line_set(&p, 16, true);
	vpic_line_set(&p, 4000, true);
	CHECK(!vpic_pending(&p));
}

TEST_MAIN()
