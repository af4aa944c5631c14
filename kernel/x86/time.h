// SPDX-License-Identifier: MIT
// The kernel's clock (the TSC) and each CPU's one-shot timer.
#pragma once

#include "kernel/x86/acpi.h"

// Finds the rates of TSC and APIC timer, against what the machine has of known rate. Takes 30 ms at
// the most. Needs this CPU's local APIC.
void time_init(const struct acpi_info *acpi);

// Waits, busy.
void time_wait_ns(u64 ns);
