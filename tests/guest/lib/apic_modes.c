// SPDX-License-Identifier: MIT
// Switching all CPUs between xAPIC and x2APIC mode.
#include "guest.h"
#include "smp.h"
#include "apic.h"

static bool to_x2;

static void switch_mode(void *unused)
{
	(void)unused;
	if (to_x2)
		apic_enter_x2();
	else
		apic_leave_x2();
	apic_enable();
}

static void switch_all(bool x2)
{
	to_x2 = x2;
	smp_run_others(switch_mode, NULL);
	smp_wait();
	switch_mode(NULL);
}

void apic_each_mode(void (*fn)(const char *mode))
{
	apic_enable();
	fn("xAPIC");
	if (!apic_has_x2()) {
		print("CPUID offers no x2APIC\n");
		return;
	}
	switch_all(true);
	fn("x2APIC");
	switch_all(false);
}
