// SPDX-License-Identifier: MIT
// Resets the machine in one of three ways (by=1: i8042, 2: port CF9h, 3: the ACPI reset register) while its
// other CPUs run, or from another CPU while the boot CPU is halted (ap); the second start knows itself by a mark in CMOS memory and looks at what reset leaves.
#include "guest.h"
#include "acpi.h"
#include "apic.h"
#include "pic.h"
#include "smp.h"

#define MARK_AT 0x60

static u32 data_before = 0x1234; // a start loads it anew

static void spin(void *arg)
{
	(void)arg;
	for (;;)
		cpu_relax();
}

static void reset_by_acpi(void)
{
	u8 space = (u8)fadt_field(FADT_RESET_REG, 1), value = (u8)fadt_field(FADT_RESET_VAL, 1);
	u64 at = fadt_field(FADT_RESET_REG + 4, 8);

	check(fadt_field(FADT_FLAGS, 4) & FADT_FLAG_RESET,
		"the reset register is 0x%lx in space %u, value 0x%x", at, space, value);
	if (space == 1)
		outb((u16)at, value);
	else if (space == 0)
		*(volatile u8 *)at = value;
}

static void reset_now(void *arg)
{
	u64 by = (u64)arg;

	delay_us(10000); // the boot CPU is in HLT by then
	if (by == 1)
		outb(0x64, 0xFE);
	else if (by == 2)
		outb(0xCF9, 0x06);
	else
		reset_by_acpi();
}

static void second_start(void)
{
	u32 cpus;

	cmos_write(MARK_AT, 0);
	check(data_before == 0x1234, "the image was loaded anew");
	check(!(apic_read(APIC_SVR) & 0x100) || arg_given("qemu"), "the APIC is as after reset");
	cpus = smp_start();
	check(cpus == smp_count(), "%u of %u CPUs start again", cpus, smp_count());
}

void guest_main(void)
{
	u64 by = arg_number("by", 1);
	u8 mark = (u8)(0xB0 + by);

	if (cmos_read(MARK_AT) == mark) {
		second_start();
		return;
	}
	cmos_write(MARK_AT, mark);
	data_before = 0;
	smp_start();
	if (arg_given("ap")) {
		smp_run(1, reset_now, (void *)by);
		__asm__ volatile("cli; hlt");
	}
	smp_run_others(spin, NULL);
	reset_now((void *)by);
	delay_us(2000000);
	check(false, "two seconds on it is not reset");
}
