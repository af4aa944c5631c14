// SPDX-License-Identifier: MIT
// What a device of the machine may reach in memory, where there is an IOMMU.
//
// Each PCI function that a driver has enabled has a domain: it reaches what is mapped there, at its physical address, and
// nothing else, and raises the interrupts that its driver asked for; a function without one reaches nothing. Without an IOMMU all domains are NULL, and mapping is a test
// for that.
//
// Rings, tables and buffers of a driver are mapped from dma_alloc to dma_free (drivers/dma.h). The memory of a request is
// mapped by the block layer while a command for it is with the device. Mappings are counted: a page that several
// requests name is reachable until the last of them has ended.
#pragma once

#include "lib/addr.h"

struct iommu_domain;
struct irq_message;

// What was mapped or unmapped and the IOMMU may not know yet: pages [first, last]. All zero: nothing.
struct iommu_range {
	u64 first, last;
	bool any;
};

struct iommu_ops {
	// The domain of the function with this address on the bus, from now on; NULL: it is behind no IOMMU, or there is no
	// memory (then it is blocked, and the log says so). Start only, as detach.
	struct iommu_domain *(*attach)(u16 address);
	// It reaches nothing any more when this returns.
	void (*detach)(u16 address);
	// Lets the function raise this interrupt, by the message that *m becomes; 0, or -ENOSPC: too many. Start only.
	int (*message)(u16 address, struct irq_message *m);
	// The three below: any CPU, any locks below LOCK_IOMMU.
	bool (*map)(struct iommu_domain *d, u64 first, u64 last);
	void (*unmap)(struct iommu_domain *d, u64 first, u64 last);
	// Returns when no translation of these pages from before is in use; `mapped`: they were not reachable before.
	void (*flush)(struct iommu_domain *d, u64 first, u64 last, bool mapped);
};

struct iommu_domain {
	const struct iommu_ops *ops;
};

// Start only, once: the machine has an IOMMU, and from now on nothing reaches memory but what is mapped.
void iommu_register(const struct iommu_ops *ops);

// See iommu_ops; harmless without an IOMMU.
struct iommu_domain *iommu_attach(u16 address);
void iommu_detach(u16 address);
int iommu_message(u16 address, struct irq_message *m);

// The rest is for domains that there are.
bool iommu_map_range(struct iommu_domain *d, hpa_t at, u64 len, struct iommu_range *r);
void iommu_unmap_range(struct iommu_domain *d, hpa_t at, u64 len, struct iommu_range *r);
void iommu_flush_range(struct iommu_domain *d, struct iommu_range *r, bool mapped);

// Maps the pages of [at, at + len), len > 0; false: no memory for tables, or mapped too often: nothing was. Before the
// device is told of them comes iommu_map_end with the range that was gathered.
static inline bool iommu_map(struct iommu_domain *d, hpa_t at, u64 len, struct iommu_range *r)
{
	return !d || iommu_map_range(d, at, len, r);
}
static inline void iommu_map_end(struct iommu_domain *d, struct iommu_range *r)
{
	if (d)
		iommu_flush_range(d, r, true);
}

// Takes back one iommu_map of the same memory. It may be used again after iommu_unmap_end; until then the device
// may still reach it.
static inline void iommu_unmap(struct iommu_domain *d, hpa_t at, u64 len, struct iommu_range *r)
{
	if (d)
		iommu_unmap_range(d, at, len, r);
}
static inline void iommu_unmap_end(struct iommu_domain *d, struct iommu_range *r)
{
	if (d)
		iommu_flush_range(d, r, false);
}
