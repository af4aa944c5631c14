// SPDX-License-Identifier: MIT
// AMD's IOMMU, AMD-Vi, behind drivers/iommu.h.
#pragma once

// Finds the machine's IOMMUs by ACPI and switches them on, unless the command line says iommu=off: from now on devices
// reach what is mapped for them. At start, after pci_scan and before any driver.
void amd_iommu_init(void);
