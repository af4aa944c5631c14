// SPDX-License-Identifier: MIT
// Which domain a device has. One device table serves all IOMMUs; what has no domain is blocked in it. Interrupts are looked
// up in a table of each domain, so a device raises only those of its driver. Or all devices share one domain, and raise what
// they like.
#include "drivers/amd_iommu/amd_iommu_internal.h"
#include "drivers/pci.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/x86/acpi.h"
#include "kernel/x86/irq.h"
#include "lib/errno.h"

#define MSI_ADDRESS 0xFEE00000ull

// A function that has, or had, a domain.
struct attached {
	u16 address, requester; // its own, and the one that its requests come under
	bool on;
	struct amd_domain *domain;
};

static struct device_entry *devices; // DEVICES
static bool remapping;               // of interrupts

static struct spinlock lock = SPINLOCK(LOCK_IOMMU); // the next three, entries of `devices`
static struct attached attached[PCI_MAX_FUNCTIONS];
static u32 attached_count;
static u16 domain_count;

// The second half first: until the first one allows something, nothing is.
static void entry_set(u16 address, const struct amd_domain *d)
{
	struct device_entry *e = &devices[address];

	if (!d) {
		WRITE_ONCE(e->q[0], DTE_BLOCKED);
		WRITE_ONCE(e->q[2], remapping ? DTE_IRQ_REFUSED : 0);
		return;
	}
	WRITE_ONCE(e->q[1], d->id);
	WRITE_ONCE(e->q[2], remapping ? DTE_IRQ_REMAPPED | va_to_hpa(d->irqs).v : 0);
	WRITE_ONCE(e->q[0],
		DTE_BLOCKED | DTE_LEVELS(AMD_LEVELS) | va_to_hpa(d->root).v | DTE_READ | DTE_WRITE);
}

static void flush(struct iommu_domain *domain, u64 first, u64 last, bool mapped)
{
	struct amd_domain *d = amd_domain_of(domain);

	for (u32 i = 0; i < amd_ivrs->iommu_count; i++) {
		struct amd_iommu *u = amd_iommus[i];

		if (u && (d->iommu == u || !d->iommu) && (!mapped || u->np_cache))
			amd_forget_pages(u, d->id, first, last);
	}
}

static struct amd_domain *domain_make(struct amd_iommu *u, const struct iommu_ops *ops)
{
	struct amd_domain *d = kmem_alloc(sizeof(*d), FRAME_OWNER_KERNEL);

	if (!d || amd_tables_init(d))
		return NULL;
	d->irqs = remapping ? kmem_alloc(PAGE_SIZE, FRAME_OWNER_KERNEL) : NULL;
	if (remapping && !d->irqs)
		return NULL;
	d->domain.ops = ops;
	d->iommu = u;
	d->id = ++domain_count;
	return d;
}

static struct attached *find(u16 address)
{
	for (u32 i = 0; i < attached_count; i++)
		if (attached[i].address == address)
			return &attached[i];
	return NULL;
}

static const struct iommu_ops ops;

// Functions whose requests come under one address share a domain.
static struct amd_domain *find_domain(u16 requester)
{
	for (u32 i = 0; i < attached_count; i++)
		if (attached[i].requester == requester)
			return attached[i].domain;
	return NULL;
}

static struct attached *make(u16 address, const struct ivrs_range *r)
{
	u16 requester = r->aliased ? r->alias : address;
	struct amd_domain *d = find_domain(requester);

	if (attached_count == PCI_MAX_FUNCTIONS)
		return NULL;
	d = d ? d : domain_make(amd_iommus[r->iommu], &ops);
	if (!d)
		return NULL;
	attached[attached_count] = (struct attached){address, requester, false, d};
	return &attached[attached_count++];
}

static struct iommu_domain *attach(u16 address)
{
	const struct ivrs_range *r = ivrs_find(amd_ivrs, address);
	struct attached *a;

	if (!r || !amd_iommus[r->iommu]) {
		log_line("iommu: %02x:%02x.%u is behind none: it reaches all memory", address >> 8,
			address >> 3 & 31, address & 7);
		return NULL;
	}
	spin_lock(&lock);
	a = find(address);
	a = a ? a : make(address, r);
	if (a) {
		a->on = true;
		entry_set(a->address, a->domain);
		entry_set(a->requester, a->domain);
	}
	spin_unlock(&lock);
	if (!a) {
		log_line("iommu: no memory for the tables of %02x:%02x.%u: it reaches nothing",
			address >> 8, address >> 3 & 31, address & 7);
		return NULL;
	}
	amd_forget_device(a->domain->iommu, a->address, a->domain->id);
	amd_forget_device(a->domain->iommu, a->requester, a->domain->id);
	return &a->domain->domain;
}

static bool is_used(u16 requester)
{
	for (u32 i = 0; i < attached_count; i++)
		if (attached[i].on && attached[i].requester == requester)
			return true;
	return false;
}

static void detach(u16 address)
{
	struct attached *a;

	spin_lock(&lock);
	a = find(address);
	if (a) {
		a->on = false;
		entry_set(a->address, NULL);
		if (!is_used(a->requester))
			entry_set(a->requester, NULL);
	}
	spin_unlock(&lock);
	if (!a)
		return;
	amd_forget_device(a->domain->iommu, a->address, a->domain->id);
	amd_forget_device(a->domain->iommu, a->requester, a->domain->id);
}

// The message that the device sends then names an entry of its table, which says what it raises (2.2.5).
static int message(u16 address, struct irq_message *m)
{
	struct attached *a = find(address);
	struct amd_domain *d = a ? a->domain : NULL;

	if (!remapping || !d)
		return 0;
	if (d->irq_count == IRQ_TABLE)
		return -ENOSPC;
	d->irqs[d->irq_count] = IRQ_ENTRY(m->address >> 12 & 0xFF, m->data & 0xFF);
	*m = (struct irq_message){MSI_ADDRESS, d->irq_count++};
	amd_forget_device(d->iommu, a->address, d->id);
	amd_forget_device(d->iommu, a->requester, d->id);
	return 0;
}

static const struct iommu_ops ops = {
	attach, detach, message, amd_tables_map, amd_tables_unmap, flush};

// Nobody attaches to a domain that all have.
static const struct iommu_ops shared_ops = {
	.map = amd_tables_map, .unmap = amd_tables_unmap, .flush = flush};

// ---------------------------------------------------------------- the table

// Where I/O APICs are not known by their addresses, theirs cannot be told from others'.
static bool can_remap(void)
{
	return amd_ivrs->ioapic_count && amd_ivrs->ioapic_count >= acpi_info.ioapic_count;
}

static void leave_interrupts(u16 address)
{
	devices[address].q[2] = 0;
}

u64 amd_domains_table(void)
{
	return va_to_hpa(devices).v | (DEVICES * sizeof(*devices) / PAGE_SIZE - 1);
}

static void fill_table(const struct amd_domain *shared)
{
	for (u32 i = 0; i < DEVICES; i++)
		entry_set((u16)i, shared);
	for (u32 i = 0; i < amd_ivrs->chip_count; i++)
		leave_interrupts(amd_ivrs->chips[i]);
	for (u32 i = 0; i < amd_ivrs->iommu_count; i++)
		leave_interrupts(amd_ivrs->iommus[i].address);
}

static bool make_table(void)
{
	devices = kmem_alloc(DEVICES * sizeof(*devices), FRAME_OWNER_KERNEL);
	return devices;
}

const struct iommu_ops *amd_domains_init(void)
{
	if (!make_table())
		return NULL;
	remapping = can_remap();
	if (!remapping)
		log_line(
			"iommu: interrupts are not remapped: ACPI's table does not know all I/O APICs");
	fill_table(NULL);
	return &ops;
}

struct iommu_domain *amd_domains_init_shared(void)
{
	struct amd_domain *d = make_table() ? domain_make(NULL, &shared_ops) : NULL;

	if (!d)
		return NULL;
	fill_table(d);
	return &d->domain;
}
