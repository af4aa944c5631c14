// SPDX-License-Identifier: MIT
// What the root VM's devices may reach: its memory, where the machine has an IOMMU. All devices share one domain, as all are
// the root VM's.
#include "drivers/amd_iommu/amd_iommu.h"
#include "drivers/iommu.h"
#include "kernel/micro/root.h"

static struct iommu_domain *domain; // NULL: devices reach everything

void root_iommu_init(void)
{
	domain = amd_iommu_init_shared();
}

const char *root_iommu_allow(const struct vm *vm)
{
	struct iommu_range changed = {0};

	for (unsigned i = 0; i < vm->gmap.ranges; i++) {
		u64 start = vm->gmap.ram[i].start, end = vm->gmap.ram[i].end;

		if (!iommu_map(domain, hpa(start), end - start, &changed))
			return "out of memory for tables of the IOMMU";
	}
	iommu_map_end(domain, &changed);
	return NULL;
}

static struct iommu_range lent, taken; // under the lock of the list of VMs

bool root_iommu_lend(u64 at, u64 size)
{
	return iommu_map(domain, hpa(at), size, &lent);
}

void root_iommu_lent(void)
{
	iommu_map_end(domain, &lent);
}

void root_iommu_take_back(u64 at, u64 size)
{
	iommu_unmap(domain, hpa(at), size, &taken);
}

void root_iommu_taken_back(void)
{
	iommu_unmap_end(domain, &taken);
}
