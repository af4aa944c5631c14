// SPDX-License-Identifier: MIT
// The guest's ACPI tables.
#pragma once

#include "lib/addr.h"

struct vm;

// Writes all tables into the BIOS area (GPA_BIOS), the RSDP first, and gives its address. Before the VM runs.
// 0, or -EFAULT when the guest has no memory there (or the host has none left).
int acpi_tables_write(struct vm *vm, gpa_t *rsdp);
