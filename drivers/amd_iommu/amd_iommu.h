// SPDX-License-Identifier: MIT
// AMD's IOMMU, AMD-Vi, behind drivers/iommu.h.
#pragma once

#include "lib/types.h"

struct iommu_domain;

// Finds the machine's IOMMUs by ACPI and switches them on, unless the command line says iommu=off: from now on devices
// reach what is mapped for them. At start, after pci_scan and before any driver.
void amd_iommu_init(void);

// The same, but all devices share one domain, which is returned, and raise what interrupts they like: they belong to one VM.
// What they are refused is not logged. NULL: they reach all memory, and the log says why.
struct iommu_domain *amd_iommu_init_shared(void);

// Do registers of an IOMMU lie at this address?
bool amd_iommu_has(u64 hpa);
