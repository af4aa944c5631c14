// SPDX-License-Identifier: MIT
// Power-off and reset of the machine; their use is kernel/core/machine.h.
#pragma once

#include "kernel/x86/acpi.h"

// Maps what they need and switches ACPI mode on.
void power_init(const struct acpi_info *acpi);
