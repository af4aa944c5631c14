// SPDX-License-Identifier: MIT
// Addresses for BARs that the firmware left without; between pci.c and pci_assign.c. All of it is for start.
#pragma once

#include "drivers/pci.h"

// Forgets what an earlier scan found.
void pci_assign_begin(void);

// A bridge, whose windows are read, and whose own BARs stand in `f`.
void pci_assign_bridge(const struct pci_function *f);

// Gives all functions' BARs that have a size and no base a base, where there is room that surely leads to them; logs
// what it did and what it could not.
void pci_assign(void);

// pci.c: changes the BAR's registers while the function decodes nothing; false: they do not keep the address.
bool pci_bar_write(struct pci_function *f, u32 bar, u64 base);

// pci_config.c: the i-th range [*first, *last] of addresses that are not for devices on the bus, as far as ACPI
// tells; false: no more.
bool pci_reserved(u32 i, u64 *first, u64 *last);
