// SPDX-License-Identifier: MIT
// The physical machine as a whole. Supplied by the architecture.
#pragma once

// Stops the other CPUs, then powers off by ACPI; halts where that does not work. Any context.
_Noreturn void machine_poweroff(void);

// Stops the other CPUs, then resets by whatever works: ACPI, port CF9, the keyboard controller, a
// triple fault.
_Noreturn void machine_reset(void);
