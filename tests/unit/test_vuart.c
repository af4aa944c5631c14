// SPDX-License-Identifier: MIT
// The 16550A against its data sheet, and its line to the console.
// link: kernel/vm/vuart.c kernel/core/timer.c tests/unit/fake/arch.c
#include "tests/unit/irq_fake.h"

static struct vuart *uart = &vm.pc.uart[0];

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };

static void setup(void)
{
	pc_fake_reset();
	vuart_init(&vm.pc.uart[0], &vm, 4, true);
	vuart_init(&vm.pc.uart[1], &vm, 3, false);
}

static void setup_interrupts(u8 ier)
{
	setup();
	vuart_write(uart, IIR, 0x07);
	vuart_write(uart, MCR, 0x0b);
	vuart_write(uart, IER, ier);
}

TEST(polled_output)
{
	setup();
	CHECK_EQ(vuart_read(uart, LSR), 0x60);
	for (const char *s = "hello"; *s; s++) {
		CHECK_EQ(vuart_read(uart, LSR) & 0x20, 0x20);
		vuart_write(uart, DATA, (u8)*s);
	}
	CHECK_EQ(console_used, 5);
	CHECK(!memcmp(console_bytes, "hello", 5));
	CHECK_EQ(irq_rises[4], 0);
}

// Firmware writes what it says to every port that it finds; the console shall show it once.
TEST(second_port_leads_nowhere)
{
	struct vuart *second = &vm.pc.uart[1];

	setup();
	console_size = 0;
	for (int i = 0; i < 40; i++) {
		CHECK_EQ(vuart_read(second, LSR), 0x60);
		vuart_write(second, DATA, 'x');
	}
	CHECK_EQ(console_used, 0);
}

TEST(a_full_console_keeps_the_transmitter_busy)
{
	setup_interrupts(0x02);
	console_size = 3;
	CHECK_EQ(vuart_read(uart, IIR), 0xc2);
	for (int i = 0; i < 3; i++)
		vuart_write(uart, DATA, 'a');
	CHECK_EQ(vuart_read(uart, LSR), 0x60);
	vuart_write(uart, DATA, 'b');
	CHECK_EQ(vuart_read(uart, LSR), 0);
	CHECK(!irq_level[4]);
	for (int i = 0; i < 20; i++) // 15 find room in the FIFO, the others are lost
		vuart_write(uart, DATA, 'c');
	vuart_drain(&vm);
	CHECK_EQ(vuart_read(uart, LSR), 0);
	console_size = 100;
	vuart_drain(&vm);
	CHECK_EQ(console_used, 3 + 16);
	CHECK_EQ(console_bytes[3], 'b');
	CHECK_EQ(console_bytes[18], 'c');
	CHECK_EQ(vuart_read(uart, LSR), 0x60);
	CHECK(irq_level[4]);
	CHECK_EQ(vuart_read(uart, IIR), 0xc2);
	CHECK(!irq_level[4]);
}

TEST(transmit_interrupt)
{
	setup_interrupts(0x02);
	CHECK(irq_level[4]); // enabling it with an empty transmitter raises it
	CHECK_EQ(vuart_read(uart, IIR), 0xc2);
	CHECK(!irq_level[4]); // reading IIR took it back
	CHECK_EQ(vuart_read(uart, IIR), 0xc1);
	vuart_write(uart, DATA, 'x');
	CHECK(irq_level[4]);
	vuart_write(uart, IER, 0);
	CHECK(!irq_level[4]);
	CHECK_EQ(vuart_read(uart, IIR), 0xc1);
}

TEST(out2_gates_the_interrupt)
{
	setup_interrupts(0x02);
	vuart_write(uart, MCR, 0x03);
	CHECK(!irq_level[4]);
	CHECK_EQ(vuart_read(uart, IIR), 0xc2);
}

TEST(input_without_fifo)
{
	setup();
	vuart_write(uart, MCR, 0x08);
	vuart_write(uart, IER, 0x01);
	CHECK_EQ(vuart_input(&vm, (const u8 *)"xy", 2), 1);
	CHECK(irq_level[4]);
	CHECK_EQ(vuart_read(uart, IIR), 0x04);
	CHECK_EQ(vuart_read(uart, LSR), 0x61);
	CHECK_EQ(console_rooms, 0);
	CHECK_EQ(vuart_read(uart, DATA), 'x');
	CHECK_EQ(console_rooms, 1);
	CHECK(!irq_level[4]);
	CHECK_EQ(vuart_read(uart, LSR), 0x60);
	CHECK_EQ(vuart_read(uart, DATA), 0);
}

TEST(input_with_fifo)
{
	u8 bytes[40];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (u8)i;
	setup_interrupts(0x01);
	vuart_write(uart, IIR, 0xc1); // trigger at 14
	CHECK_EQ(vuart_input(&vm, bytes, 3), 3);
	CHECK_EQ(vuart_read(uart, IIR), 0xcc); // fewer: time-out
	CHECK_EQ(vuart_input(&vm, bytes + 3, 37), 13);
	CHECK_EQ(vuart_read(uart, IIR), 0xc4);
	for (unsigned i = 0; i < 16; i++) {
		CHECK(irq_level[4]);
		CHECK_EQ(vuart_read(uart, DATA), i);
	}
	CHECK(!irq_level[4]);
	CHECK_EQ(console_rooms, 1);
	CHECK_EQ(vuart_input(&vm, bytes, 1), 1);
	vuart_write(uart, IIR, 0xc3); // clears the receiver
	CHECK_EQ(vuart_read(uart, LSR), 0x60);
	CHECK(!irq_level[4]);
}

TEST(loopback)
{
	setup();
	vuart_write(uart, MCR, 0x1a);
	CHECK_EQ(vuart_read(uart, MSR) & 0xf0, 0x90);
	vuart_write(uart, MCR, 0x15);
	CHECK_EQ(vuart_read(uart, MSR),
		0x6b & ~0x04); // CTS and DCD fell, DSR rose; RI rose, which is no event
	vuart_write(uart, MCR, 0x10);
	CHECK_EQ(vuart_read(uart, MSR) & 0x0f, 0x06); // RI fell
	vuart_write(uart, DATA, 'q');
	CHECK_EQ(console_used, 0);
	CHECK_EQ(vuart_read(uart, LSR), 0x61);
	vuart_write(uart, DATA, 'r'); // without FIFO: overrun
	CHECK_EQ(vuart_read(uart, LSR), 0x63);
	CHECK_EQ(vuart_read(uart, LSR), 0x61);
	CHECK_EQ(vuart_read(uart, DATA), 'q');
	CHECK_EQ(vuart_input(&vm, (const u8 *)"z", 1), 0);
	vuart_write(uart, MCR, 0x00);
	CHECK_EQ(console_rooms, 1);
	CHECK_EQ(vuart_read(uart, MSR) & 0xf0, 0xb0);
}

TEST(line_status_interrupt)
{
	setup_interrupts(0x04);
	vuart_write(uart, IIR, 0);
	vuart_write(uart, MCR, 0x18);
	vuart_write(uart, DATA, 'a');
	CHECK(!irq_level[4]);
	vuart_write(uart, DATA, 'b');
	CHECK(irq_level[4]);
	CHECK_EQ(vuart_read(uart, IIR), 0x06);
	vuart_read(uart, LSR);
	CHECK(!irq_level[4]);
}

TEST(registers_keep_what_they_should)
{
	setup();
	vuart_write(uart, LCR, 0x83);
	vuart_write(uart, DATA, 0x01);
	vuart_write(uart, IER, 0x02);
	CHECK_EQ(vuart_read(uart, DATA), 0x01);
	CHECK_EQ(vuart_read(uart, IER), 0x02);
	vuart_write(uart, LCR, 0x03);
	CHECK_EQ(vuart_read(uart, IER), 0);
	CHECK_EQ(console_used, 0);
	vuart_write(uart, SCR, 0x5a);
	CHECK_EQ(vuart_read(uart, SCR), 0x5a);
	vuart_write(uart, IER, 0xff);
	CHECK_EQ(vuart_read(uart, IER), 0x0f);
	vuart_write(uart, MCR, 0xff);
	CHECK_EQ(vuart_read(uart, MCR), 0x1f);
	vuart_write(uart, LSR, 0);
	CHECK_EQ(vuart_read(uart, LSR) & 0x60, 0x60);
	CHECK_EQ(vuart_read(uart, IIR) & 0xc0, 0);
	vuart_write(uart, IIR, 0x01);
	CHECK_EQ(vuart_read(uart, IIR) & 0xc0, 0xc0);
	vuart_reset(uart);
	CHECK_EQ(vuart_read(uart, IIR), 0x01);
	CHECK_EQ(vuart_read(uart, SCR), 0);
	CHECK(!irq_level[4]);
}

TEST(any_bytes_do_no_harm)
{
	setup();
	srand(5);
	for (unsigned i = 0; i < 300000; i++) {
		u8 bytes[20] = {0};

		switch (rand() & 3) {
		case 0:
			vuart_read(uart, (unsigned)rand() & 7);
			break;
		case 1:
			CHECK(vuart_input(&vm, bytes, (size_t)(rand() % 20)) <= 20);
			break;
		default:
			vuart_write(uart, (unsigned)rand() & 7, (u8)rand());
		}
		if (!(rand() & 63)) {
			console_used = 0;
			console_size = (size_t)(rand() % 4);
			vuart_drain(&vm);
		}
	}
	CHECK(irq_rises[4] > 100);
	CHECK(console_rooms > 100);
}

TEST_MAIN()
