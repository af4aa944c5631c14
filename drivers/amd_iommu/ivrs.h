// SPDX-License-Identifier: MIT
// ACPI's table of AMD IOMMUs (AMD I/O Virtualization Technology specification 48882, chapter 5, "IVRS"): where they are and
// which functions are behind which. No length or count in it is believed.
#pragma once

#include "lib/addr.h"

#define IVRS_IOMMUS 16
#define IVRS_RANGES 256
#define IVRS_CHIPS  32

struct ivrs_iommu {
	u16 address;    // of its PCI function
	u16 capability; // offset of its capability there
	hpa_t base;     // of its registers
	u8 flags;       // IVHD_ bits
};

#define IVHD_HT_TUNNEL   BIT(0)
#define IVHD_PASS_PW     BIT(1)
#define IVHD_RES_PASS_PW BIT(2)
#define IVHD_ISOCHRONOUS BIT(3)

// Functions [first, last] are behind an IOMMU.
struct ivrs_range {
	u16 first, last;
	u16 alias; // under whose address their requests come, if `aliased`
	bool aliased;
	u8 iommu;
};

struct ivrs {
	u32 iommu_count, range_count;
	struct ivrs_iommu iommus[IVRS_IOMMUS];
	struct ivrs_range ranges[IVRS_RANGES];
	u32 chip_count, ioapic_count;
	u16 chips
		[IVRS_CHIPS]; // under which addresses interrupts of I/O APICs (so many) and HPETs come
	u32 left_out; // IOMMUs and ranges for which there was no room, or of other PCI segments
	u32 wishes;   // memory that the firmware wants devices to reach (IVMD)
};

// Reads the whole table, [table, table + size).
void ivrs_read(struct ivrs *out, const u8 *table, u32 size);

// The range that the function belongs to; NULL: it is behind no IOMMU.
const struct ivrs_range *ivrs_find(const struct ivrs *ivrs, u16 address);
