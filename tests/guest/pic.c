// SPDX-License-Identifier: MIT
// The 8259 pair in virtual wire mode (LINT0 as ExtINT): PIT ticks, masks, EOI, the slave, automatic EOI.
#include "guest.h"
#include "apic.h"
#include "pic.h"

static volatile u32 ticks, slave_ticks, in_service, spurious;
static volatile bool send_eoi;

static u8 pic_isr(u16 port)
{
	outb(port, 0x0B);
	return inb(port);
}

static u8 pic_irr(u16 port)
{
	outb(port, 0x0A);
	return inb(port);
}

static void on_tick(struct trap *t)
{
	(void)t;
	ticks++;
	in_service += pic_isr(0x20) == 1;
	if (send_eoi)
		outb(0x20, 0x20);
}

static void on_slave(struct trap *t)
{
	(void)t;
	slave_ticks++;
	in_service += pic_isr(0x20) == 4 && pic_isr(0xA0) == 1;
	cmos_read(0x0C);
	outb(0xA0, 0x20);
	outb(0x20, 0x20);
}

static void on_spurious(struct trap *t)
{
	(void)t;
	spurious++;
}

static void run(u64 ms)
{
	irq_enable();
	delay_us(ms * 1000);
	irq_disable();
}

// Takes interrupts until there were n, five seconds at most; returns the milliseconds.
static u64 run_until(volatile u32 *count, u32 n)
{
	u64 start = rdtsc();

	irq_enable();
	(void)wait_until(*count >= n, 5000);
	irq_disable();
	return (rdtsc() - start) / tsc_per_ms();
}

static void test_ticks(void)
{
	u64 took;

	outb(0x21, 0xA5);
	check(inb(0x21) == 0xA5, "the mask reads back");
	outb(0x21, 0xFF);
	pit_load(0, 2, PIT_PERIOD);
	run(50);
	check(ticks == 0 && pic_irr(0x20) & 1, "masked: it waits in IRR (0x%x)", pic_irr(0x20));
	send_eoi = true;
	outb(0x21, 0xFE);
	took = run_until(&ticks, 20);
	check(ticks >= 20 && ticks <= took / 10 + 2, "%u ticks of 10 ms in %lu ms", ticks, took);
	check(in_service == ticks, "ISR shows each in service (%u)", in_service);
	check(pic_isr(0x20) == 0, "and none after");
}

static void test_eoi(void)
{
	u64 took;

	send_eoi = false;
	ticks = 0;
	run(50);
	check(ticks == 1 && pic_isr(0x20) == 1, "without EOI only one comes (%u)", ticks);
	outb(0x20, 0x60); // specific EOI of input 0
	send_eoi = true;
	ticks = 0;
	run(50);
	check(ticks >= 1, "a specific EOI lets them come again (%u)", ticks);

	outb(0x20, 0x11); // again, with automatic EOI
	outb(0x21, PIC_BASE);
	outb(0x21, 4);
	outb(0x21, 3);
	outb(0x21, 0xFE);
	send_eoi = false;
	ticks = 0;
	took = run_until(&ticks, 10);
	check(ticks >= 10 && ticks <= took / 10 + 2, "automatic EOI: %u ticks of 10 ms in %lu ms",
		ticks, took);
	pic_init();
	pit_stop();
}

static void test_slave(void)
{
	u8 b = cmos_read(0x0B);
	u64 took;

	in_service = 0;
	outb(0x21, 0xFB);
	outb(0xA1, 0xFE);
	cmos_write(0x0A, (cmos_read(0x0A) & 0xF0) | 9); // 128 Hz
	cmos_write(0x0B, b | 0x40);
	cmos_read(0x0C);
	took = run_until(&slave_ticks, 20);
	cmos_write(0x0B, b);
	cmos_read(0x0C);
	check(slave_ticks >= 20 && slave_ticks <= took * 128 / 1000 + 2,
		"%u ticks of IRQ 8, 128 Hz, in %lu ms", slave_ticks, took);
	check(in_service == slave_ticks, "both chips show them in service (%u)", in_service);
	pic_init();
}

static void test_lint0(void)
{
	ticks = 0;
	send_eoi = true;
	apic_write(APIC_LVT_LINT0, APIC_EXTINT | APIC_MASKED);
	outb(0x21, 0xFE);
	pit_load(0, 2, PIT_PERIOD);
	run(50);
	check(ticks == 0, "LINT0 masked: none comes");
	apic_write(APIC_LVT_LINT0, APIC_EXTINT);
	run(50);
	check(ticks >= 1, "and then they do (%u)", ticks);
	pit_stop();
	outb(0x21, 0xFF);
}

void guest_main(void)
{
	tsc_per_ms();
	pic_init();
	apic_enable();
	trap_handle(PIC_BASE, on_tick);
	trap_handle(PIC_BASE + 8, on_slave);
	trap_handle(PIC_BASE + 7, on_spurious);
	apic_write(APIC_LVT_LINT0, APIC_EXTINT);
	test_ticks();
	test_eoi();
	test_slave();
	test_lint0();
	check(spurious <= 2, "%u spurious interrupts", spurious);
}
