// SPDX-License-Identifier: MIT
// Powers the machine off (ACPI 6.4, 4.8.3.2 and 7.4.2) and resets it.
#include "kernel/x86/hvm.h"
#include "kernel/x86/power.h"
#include "kernel/core/log.h"
#include "kernel/core/machine.h"
#include "kernel/core/pcpu.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/lapic.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/port.h"
#include "kernel/x86/trap.h"

#define SLEEP_ENABLE (1u << 13)
#define SCI_ENABLE   1u
#define ENABLE_LOOPS 100000
#define SETTLE_LOOPS 10000000

static const struct acpi_info *acpi;
static volatile u8 *reset_mmio;

static u16 port_of(const struct acpi_register *r)
{
	return r->space == 1 ? (u16)r->address : 0;
}

void power_init(const struct acpi_info *info)
{
	u16 control;

	acpi = info;
	if (acpi->s5_a == ACPI_NO_SLEEP || !port_of(&acpi->pm1a_control))
		log_line("acpi: no way to power the machine off is known");
	if (acpi->reset.space == 0 && acpi->reset.address)
		reset_mmio = mmio_map(hpa(acpi->reset.address), 1);
	control = port_of(&acpi->pm1a_control);
	if (!control || port_in16(control) & SCI_ENABLE || !acpi->smi_command || !acpi->acpi_enable)
		return;
	port_out8((u16)acpi->smi_command, acpi->acpi_enable);
	for (int i = 0; i < ENABLE_LOOPS && !(port_in16(control) & SCI_ENABLE); i++)
		cpu_relax();
}

static void stop_others(void)
{
	__asm__ volatile("cli");
	if (!atomic_exchange(&machine_stopping, 1))
		lapic_nmi_others();
}

static void settle(void)
{
	for (int i = 0; i < SETTLE_LOOPS; i++)
		cpu_relax();
}

static void sleep(const struct acpi_register *control, u8 type)
{
	u16 port = port_of(control);

	if (port && type != ACPI_NO_SLEEP)
		port_out16(port, (u16)((port_in16(port) & SCI_ENABLE) | (unsigned)type << 10 |
					 SLEEP_ENABLE));
}

static void leave_guests(void)
{
	if (hvm)
		hvm->cpu_exit();
}

_Noreturn void machine_poweroff(void)
{
	stop_others();
	leave_guests();
	if (acpi) {
		sleep(&acpi->pm1a_control, acpi->s5_a);
		sleep(&acpi->pm1b_control, acpi->s5_b);
	}
	cpu_halt();
}

static void reset_acpi(void)
{
	if (!acpi || !acpi->reset.address)
		return;
	if (reset_mmio)
		*reset_mmio = acpi->reset_value;
	else if (acpi->reset.space == 1)
		port_out8((u16)acpi->reset.address, acpi->reset_value);
	settle();
}

_Noreturn void machine_reset(void)
{
	static const struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) no_idt = {0, 0};

	stop_others();
	leave_guests();
	reset_acpi();
	port_out8(0xCF9, 0x02);
	port_out8(0xCF9, 0x06);
	settle();
	port_out8(0x64, 0xFE); // the keyboard controller's reset line
	settle();
	__asm__ volatile("lidt %0; ud2" ::"m"(no_idt));
	cpu_halt();
}
