// SPDX-License-Identifier: MIT
// The 16550 at 3F8h: registers, loopback, FIFO, overrun, and its interrupts through the IOAPIC.
// While the loopback is on nothing may be printed, so results are kept and checked after.
#include "guest.h"
#include "acpi.h"
#include "apic.h"
#include "irq.h"
#include "pic.h"

#define BASE 0x3F8
#define DATA (BASE + 0)
#define IER  (BASE + 1)
#define IIR  (BASE + 2)
#define FCR  (BASE + 2)
#define LCR  (BASE + 3)
#define MCR  (BASE + 4)
#define LSR  (BASE + 5)
#define MSR  (BASE + 6)
#define SCR  (BASE + 7)

#define VEC  0x64
#define LOOP 0x1B // loopback, OUT2, RTS, DTR

static void drain(void)
{
	(void)wait_until(inb(LSR) & 0x40, 1000);
	while (inb(LSR) & 1)
		inb(DATA);
}

static void loop_on(u8 fifo)
{
	drain();
	outb(FCR, fifo);
	outb(MCR, LOOP);
	drain();
}

static void loop_off(void)
{
	drain();
	outb(IER, 0);
	outb(MCR, 0x0B);
	outb(FCR, 0x07);
}

static bool loop_byte(u8 b)
{
	outb(DATA, b);
	return wait_until(inb(LSR) & 1, 200) && inb(DATA) == b;
}

static void test_registers(void)
{
	u8 lcr = inb(LCR), ier;

	outb(SCR, 0x5A);
	check(inb(SCR) == 0x5A, "scratch register");
	drain();
	outb(LCR, lcr | 0x80);
	outb(DATA, 0x0C);
	outb(IER, 0x01);
	ier = inb(IER);
	lcr = inb(LCR);
	lcr = lcr & 0x80 && inb(DATA) == 0x0C && ier == 1;
	outb(DATA, 1);
	outb(IER, 0);
	outb(LCR, 0x03);
	check(lcr, "the divisor reads back under DLAB");
	check(inb(IER) == 0, "and is not the interrupt enable register");
	check((inb(IIR) & 0xC0) == 0xC0, "FIFOs are on (IIR 0x%x)", inb(IIR));
}

static void test_loopback(void)
{
	bool bytes = true, order = true, modem;
	u32 held = 0;
	u8 seen = 0;

	loop_on(0);
	for (u32 b = 0; b < 256; b++)
		bytes &= loop_byte((u8)b);
	modem = (inb(MSR) & 0xF0) == 0xB0; // CTS, DSR, DCD follow RTS, DTR, OUT2
	loop_on(0x07);
	for (u8 i = 0; i < 16; i++) {
		outb(DATA, i);
		(void)wait_until(inb(LSR) & 0x40, 200);
	}
	for (u8 i = 0; i < 16 && (inb(LSR) & 1); i++, held++)
		order &= inb(DATA) == i;
	for (u8 i = 0; i < 20; i++) {
		outb(DATA, i);
		(void)wait_until((seen |= inb(LSR)) & 0x40, 200);
	}
	loop_off();
	check(bytes, "loopback: all 256 bytes come back");
	check(modem, "loopback: modem status follows modem control");
	check(held == 16 && order, "the FIFO holds 16 bytes in order (%u)", held);
	check(seen & 2, "the 17th is an overrun");
}

static void test_thre(void)
{
	u8 first, second;

	drain();
	outb(FCR, 0x07);
	irq_count(VEC);
	outb(IER, 2);
	irq_enable();
	(void)wait_until(irq_hits(VEC), 500);
	irq_disable();
	first = inb(IIR);
	second = inb(IIR);
	outb(IER, 0);
	check(irq_hits(VEC) == 1, "transmitter empty: one interrupt (%u)", irq_hits(VEC));
	check((first & 0x0F) == 2 && (second & 0x0F) == 1, "IIR 0x%x, after its reading 0x%x",
		first, second);
}

static void test_receive(void)
{
	u8 seen, after;
	bool early, full;

	loop_on(0);
	irq_count(VEC);
	outb(IER, 1);
	outb(DATA, 'x');
	irq_enable();
	(void)wait_until(irq_hits(VEC), 500);
	irq_disable();
	seen = inb(IIR) & 0x0F;
	inb(DATA);
	after = inb(IIR) & 0x0F;
	loop_off();
	check(irq_hits(VEC) == 1 && seen == 4 && after == 1, "received data: IIR 0x%x, then 0x%x",
		seen, after);

	loop_on(0x87); // trigger at 8 bytes
	outb(IER, 1);
	for (u8 i = 0; i < 7; i++) {
		outb(DATA, i);
		(void)wait_until(inb(LSR) & 0x40, 200);
	}
	early = (inb(IIR) & 0x0F) == 4;
	outb(DATA, 7);
	(void)wait_until(inb(LSR) & 0x40, 200);
	full = (inb(IIR) & 0x0F) == 4;
	loop_off();
	check(!early && full, "FIFO trigger at 8 bytes (%u, %u)", early, full);
}

void guest_main(void)
{
	tsc_per_ms();
	pic_init();
	apic_enable();
	ioapic_route(acpi_gsi(4), VEC, apic_id());
	test_registers();
	test_loopback();
	test_thre();
	test_receive();
}
