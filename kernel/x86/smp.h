// SPDX-License-Identifier: MIT
// Starting the other CPUs.
#pragma once

#include "kernel/core/boot_info.h"
#include "kernel/x86/acpi.h"

// Starts all CPUs that ACPI names; each ends in pcpu_loop. Those that do not answer are left out,
// and said so. At most `max` CPUs in all run then.
void smp_start(const struct boot_info *info, const struct acpi_info *acpi, u32 max);
