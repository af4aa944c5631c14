// SPDX-License-Identifier: MIT
// The reader of ACPI's table of AMD IOMMUs: what it gives is within its bounds, whatever the table says.
//
// link: drivers/amd_iommu/ivrs.c
// fuzz: -max_len=1024
#include "drivers/amd_iommu/ivrs.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

// The header of the table is of no interest: the input is what follows.
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct ivrs ivrs;
	u8 *table = calloc(1, 48 + size);

	MUST(table);
	if (size)
		memcpy(table + 48, data, size);
	ivrs_read(&ivrs, table, (u32)(48 + size));
	MUST(ivrs.iommu_count <= IVRS_IOMMUS && ivrs.range_count <= IVRS_RANGES);
	MUST(ivrs.chip_count <= IVRS_CHIPS && ivrs.ioapic_count <= ivrs.chip_count);
	for (u32 i = 0; i < ivrs.range_count; i++) {
		const struct ivrs_range *r = &ivrs.ranges[i], *found = ivrs_find(&ivrs, r->last);

		MUST(r->first <= r->last && r->iommu < ivrs.iommu_count);
		MUST(found && found >= r);
	}
	for (u32 i = 0; i < ivrs.iommu_count; i++)
		for (u32 j = 0; j < i; j++)
			MUST(ivrs.iommus[i].address != ivrs.iommus[j].address);
	free(table);
	return 0;
}
