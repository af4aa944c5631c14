// SPDX-License-Identifier: MIT
// AMD-Vi where all devices share one domain.
//
// link: drivers/amd_iommu/amd_iommu.c drivers/amd_iommu/domains.c drivers/amd_iommu/tables.c
// link: drivers/amd_iommu/commands.c
// link: drivers/amd_iommu/events.c drivers/amd_iommu/ivrs.c drivers/iommu.c net/bucket.c
// link: kernel/core/timer.c tests/unit/fake/arch.c
#include "tests/unit/amd_iommu_fake.h"

#define PAGE_B 0x8000u

// In one test, as it is switched on once.
TEST(all_devices_reach_what_is_mapped_and_nothing_else)
{
	struct iommu_range r = {0};
	struct iommu_domain *d;

	machine_make();
	CHECK(!amd_iommu_has(0xFED80000));
	d = amd_iommu_init_shared();
	CHECK(d != NULL);
	if (!d)
		return;
	CHECK(amd_iommu_has(0xFED80000) && amd_iommu_has(0xFED83FFF) && !amd_iommu_has(0xFED84000));
	CHECK_EQ(reg(R_CONTROL) & (CONTROL_ON | CONTROL_COMMANDS | CONTROL_EVENTS),
		CONTROL_ON | CONTROL_COMMANDS);
	CHECK(irq == NULL);
	CHECK(!reaches(DISK, PAGE_A) && !reaches(CARD_2, PAGE_A));
	CHECK(iommu_map(d, hpa(PAGE_A * PAGE_SIZE), PAGE_SIZE, &r));
	iommu_map_end(d, &r);
	for (u32 i = 0; i < 65536; i += 7) {
		CHECK(reaches((u16)i, PAGE_A));
		CHECK(!reaches((u16)i, PAGE_B));
		CHECK_EQ(raises((u16)i, 5), ~0u); // messages go on as they are
	}
	iommu_unmap(d, hpa(PAGE_A * PAGE_SIZE), PAGE_SIZE, &r);
	iommu_unmap_end(d, &r);
	CHECK(!reaches(DISK, PAGE_A) && !reaches(CARD, PAGE_A));
}

TEST_MAIN()
