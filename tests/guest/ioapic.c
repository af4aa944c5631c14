// SPDX-License-Identifier: MIT
// The IOAPIC: registers, edges (PIT), levels (UART), masks, remote IRR, EOI, destinations.
#include "guest.h"
#include "acpi.h"
#include "apic.h"
#include "irq.h"
#include "pic.h"
#include "smp.h"

#define VEC      0x61
#define UART_PIN 4

static u32 pit_pin;

static u32 redir(u32 pin)
{
	return ioapic_read(IOAPIC_REDIR + 2 * pin);
}

static void test_registers(void)
{
	check((ioapic_read(IOAPIC_VERSION) & 0xFF) >= 0x11 && ioapic_pins() >= 24,
		"version 0x%x, %u pins", ioapic_read(IOAPIC_VERSION), ioapic_pins());
	for (u32 pin = 0; pin < ioapic_pins(); pin++) {
		u32 v = REDIR_MASKED | (0x20 + pin);

		ioapic_route(pin, v, pin & 15);
		check_quiet(redir(pin) == v, "pin %u reads back 0x%x", pin, redir(pin));
		check_quiet(ioapic_read(IOAPIC_REDIR + 2 * pin + 1) == (pin & 15) << 24,
			"pin %u: destination", pin);
	}
	ioapic_write(IOAPIC_REDIR, redir(0) | REDIR_REMOTE_IRR | BIT(12));
	check(!(redir(0) & (REDIR_REMOTE_IRR | BIT(12))), "remote IRR and status are read-only");
}

static void pit_shot(void)
{
	pit_load(0, 0, PIT_PERIOD / 10);
	irq_enable();
	delay_us(20000);
	irq_disable();
}

static void test_edge(void)
{
	irq_count(VEC);
	ioapic_route(pit_pin, VEC, apic_id());
	pit_shot();
	check(irq_hits(VEC) == 1, "an edge comes once (%u)", irq_hits(VEC));
	check(!(redir(pit_pin) & REDIR_REMOTE_IRR), "an edge sets no remote IRR");
	irq_count(VEC);
	ioapic_route(pit_pin, VEC | REDIR_MASKED, apic_id());
	pit_shot();
	check(irq_hits(VEC) == 0, "a masked edge does not come (%u)", irq_hits(VEC));
	irq_count(VEC_NMI);
	ioapic_route(pit_pin, VEC | APIC_NMI, apic_id());
	pit_shot();
	check(irq_hits(VEC_NMI) == 1, "delivery as NMI (%u)", irq_hits(VEC_NMI));
	ioapic_route(pit_pin, REDIR_MASKED, 0);
	pit_stop();
}

static volatile u32 level_hits, remote_irr, tmr, allowed;

// The UART's line stays up until IIR is read; this does so at the last hit that is allowed.
static void on_level(struct trap *t)
{
	(void)t;
	remote_irr += !!(redir(UART_PIN) & REDIR_REMOTE_IRR);
	tmr += apic_bit(APIC_TMR, VEC);
	if (++level_hits >= allowed)
		inb(0x3FA);
	apic_eoi();
}

static void level_run(u32 hits)
{
	level_hits = remote_irr = tmr = 0;
	allowed = hits;
	trap_handle(VEC, on_level);
	outb(0x3F9, 2); // transmitter empty
	irq_enable();
	(void)wait_until(level_hits >= hits, 1000);
	delay_us(2000);
	irq_disable();
}

static void level_end(void)
{
	outb(0x3F9, 0);
	inb(0x3FA);
}

static void test_level(void)
{
	bool ok, up;

	outb(0x3FC, 8); // OUT2 lets the interrupt out
	(void)wait_until(inb(0x3FD) & 0x40, 1000);
	ioapic_route(UART_PIN, VEC | REDIR_LEVEL, apic_id());
	level_run(3);
	level_end();
	check(level_hits == 3, "a level comes again until its source is quiet (%u)", level_hits);
	check(remote_irr == 3 && tmr == 3, "remote IRR and TMR are set meanwhile (%u, %u)",
		remote_irr, tmr);
	check(!(redir(UART_PIN) & REDIR_REMOTE_IRR), "EOI clears remote IRR");

	(void)wait_until(inb(0x3FD) & 0x40, 1000);
	ioapic_route(UART_PIN, VEC | REDIR_LEVEL | REDIR_MASKED, apic_id());
	level_run(0);
	ok = level_hits == 0;
	allowed = 1;
	ioapic_write(IOAPIC_REDIR + 2 * UART_PIN, VEC | REDIR_LEVEL);
	irq_enable();
	up = wait_until(level_hits == 1, 1000);
	irq_disable();
	level_end();
	check(ok, "a masked level does not come");
	check(up, "unmasking a level that is up brings it");
	ioapic_route(UART_PIN, REDIR_MASKED, 0);
}

static volatile bool stay;

// Waits until so many came, for a while if they do not, and then a little for more.
static void pit_to(u32 low, u32 dest, u32 hits)
{
	irq_count(VEC);
	ioapic_route(pit_pin, low, dest);
	pit_load(0, 0, PIT_PERIOD / 10);
	irq_enable();
	(void)wait_until(hits && irq_hits(VEC) >= hits, hits ? 3000 : 20);
	delay_us(20000);
	irq_disable();
}

static void listen(void *arg)
{
	(void)arg;
	apic_write(APIC_DFR, 0xFFFFFFFF);
	apic_write(APIC_LDR, 2u << 24);
	irq_enable();
	while (stay)
		cpu_relax();
	irq_disable();
}

static void test_destinations(void)
{
	apic_write(APIC_DFR, 0xFFFFFFFF);
	apic_write(APIC_LDR, 1u << 24);
	pit_to(VEC | APIC_LOGICAL, 1, 1);
	check(irq_hits_on(0, VEC) == 1, "logical name 1");
	pit_to(VEC | APIC_LOGICAL, 4, 0);
	check(irq_hits(VEC) == 0, "a logical name that nobody has");
	if (smp_count() < 2)
		return;
	stay = true;
	smp_run(1, listen, NULL);
	delay_us(5000);
	pit_to(VEC, cpu_at(1)->apic_id, 1);
	check(irq_hits_on(1, VEC) == 1 && irq_hits(VEC) == 1, "to CPU 1 by its id");
	pit_to(VEC | APIC_LOGICAL, 3, 2);
	check(irq_hits_on(1, VEC) == 1 && irq_hits_on(0, VEC) == 1, "to both by logical names");
	pit_to(VEC | APIC_LOGICAL | APIC_LOWEST, 3, 1);
	check(irq_hits(VEC) == 1, "to one of both by lowest priority (%u)", irq_hits(VEC));
	stay = false;
	smp_wait();
}

void guest_main(void)
{
	pit_pin = acpi_gsi(0);
	pic_init();
	pit_stop();
	smp_start();
	tsc_per_ms();
	print("the PIT is at pin %u\n", pit_pin);
	test_registers();
	test_edge();
	test_level();
	test_destinations();
}
