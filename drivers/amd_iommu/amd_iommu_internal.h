// SPDX-License-Identifier: MIT
// An IOMMU and its domains, between the files of AMD-Vi.
#pragma once

#include "drivers/amd_iommu/amd_iommu_regs.h"
#include "drivers/amd_iommu/ivrs.h"
#include "drivers/iommu.h"
#include "kernel/core/spinlock.h"
#include "kernel/core/timer.h"
#include "net/bucket.h"

struct amd_iommu {
	u16 address; // of its PCI function
	volatile u8 *regs;
	bool np_cache; // what was not there must be flushed, too
	u64 control;   // what is written to R_CONTROL

	struct spinlock lock; // LOCK_IOMMU: the ring of commands, which is empty when it is free
	u64 (*commands)[2];   // RING_ENTRIES
	u32 tail;
	volatile u64 *answered; // the IOMMU writes it
	u64 asked;

	struct spinlock event_lock; // LOCK_IOMMU
	volatile u32 (*events)[4];  // RING_ENTRIES
	u32 head;
	struct timer timer; // of the next look at them
	struct net_bucket said;
	u64 unsaid;
};

struct amd_domain {
	struct iommu_domain domain; // first
	struct amd_iommu *iommu;    // NULL: all of them
	u16 id;                     // not 0
	struct spinlock lock;       // LOCK_IOMMU: tables
	u64 *root;
	u32 *irqs; // IRQ_TABLE entries, if interrupts are remapped; start only
	u32 irq_count;
};

#define AMD_LEVELS 4u // of 9 bits each: 256 TiB

static inline struct amd_domain *amd_domain_of(struct iommu_domain *d)
{
	return (struct amd_domain *)(void *)d;
}

extern struct ivrs *amd_ivrs;                     // NULL: there are none
extern struct amd_iommu *amd_iommus[IVRS_IOMMUS]; // as in amd_ivrs; NULL: does not work

// domains.c: the table of devices is made, for a domain of each, or for one of all; NULL: there is no memory.
const struct iommu_ops *amd_domains_init(void);
struct iommu_domain *amd_domains_init_shared(void);
u64 amd_domains_table(void); // for R_DEVICE_TABLE

// tables.c: 0 or -ENOMEM; iommu_ops.map and .unmap.
int amd_tables_init(struct amd_domain *d);
bool amd_tables_map(struct iommu_domain *d, u64 first, u64 last);
void amd_tables_unmap(struct iommu_domain *d, u64 first, u64 last);

// commands.c: 0 or -ENOMEM; then the ring's address can be told.
int amd_commands_init(struct amd_iommu *u);

// Forgets what it knows of pages [first, last] of the domain, or of a device's entry; returns when that is so.
void amd_forget_pages(struct amd_iommu *u, u16 domain, u64 first, u64 last);
void amd_forget_device(struct amd_iommu *u, u16 address, u16 domain); // and its table of interrupts
// At start: forgets everything; `at_once`: it knows the command for that.
void amd_forget_all(struct amd_iommu *u, bool at_once);

// events.c: 0 or -ENOMEM; then the log's address can be told.
int amd_events_init(struct amd_iommu *u);
void amd_events_interrupt(void *iommu); // an irq_fn

// amd_iommu.c: registers, as pairs of 32 bits.
u64 amd_read(const struct amd_iommu *u, u32 reg);
void amd_write(const struct amd_iommu *u, u32 reg, u64 v);
