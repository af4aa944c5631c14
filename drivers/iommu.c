// SPDX-License-Identifier: MIT
// The seam between drivers and the IOMMU: addresses become pages, and what is to be flushed is gathered.
#include "drivers/iommu.h"

static const struct iommu_ops *iommu; // NULL: there is none

void iommu_register(const struct iommu_ops *ops)
{
	iommu = ops;
}

struct iommu_domain *iommu_attach(u16 address)
{
	return iommu ? iommu->attach(address) : NULL;
}

void iommu_detach(u16 address)
{
	if (iommu)
		iommu->detach(address);
}

int iommu_message(u16 address, struct irq_message *m)
{
	return iommu ? iommu->message(address, m) : 0;
}

static void grow(struct iommu_range *r, u64 first, u64 last)
{
	r->first = r->any ? MIN(r->first, first) : first;
	r->last = r->any ? MAX(r->last, last) : last;
	r->any = true;
}

bool iommu_map_range(struct iommu_domain *d, hpa_t at, u64 len, struct iommu_range *r)
{
	u64 first = at.v >> PAGE_SHIFT, last = (at.v + len - 1) >> PAGE_SHIFT;

	if (!d->ops->map(d, first, last))
		return false;
	grow(r, first, last);
	return true;
}

void iommu_unmap_range(struct iommu_domain *d, hpa_t at, u64 len, struct iommu_range *r)
{
	u64 first = at.v >> PAGE_SHIFT, last = (at.v + len - 1) >> PAGE_SHIFT;

	d->ops->unmap(d, first, last);
	grow(r, first, last);
}

void iommu_flush_range(struct iommu_domain *d, struct iommu_range *r, bool mapped)
{
	if (r->any)
		d->ops->flush(d, r->first, r->last, mapped);
	r->any = false;
}
