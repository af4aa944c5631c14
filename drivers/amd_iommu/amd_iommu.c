// SPDX-License-Identifier: MIT
// Switches the machine's IOMMUs on and gives devices their domains. One device table serves all of them; what has no domain
// is blocked in it. Interrupts are looked up in a table of each domain, so a device raises only those of its driver.
#include "drivers/amd_iommu/amd_iommu.h"
#include "drivers/amd_iommu/amd_iommu_internal.h"
#include "drivers/amd_iommu/ivrs.h"
#include "drivers/pci.h"
#include "kernel/core/cmdline.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/x86/acpi.h"
#include "kernel/x86/irq.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/port.h"
#include "lib/errno.h"

#define STOP_TRIES  100000u
#define MSI_ADDRESS 0xFEE00000ull

// A function that has, or had, a domain.
struct attached {
	u16 address, requester; // its own, and the one that its requests come under
	bool on;
	struct amd_domain *domain;
};

static struct ivrs ivrs;
static struct amd_iommu *iommus[IVRS_IOMMUS]; // as in ivrs; NULL: does not work
static struct device_entry *devices;          // DEVICES
static bool remapping;                        // of interrupts

static struct spinlock lock = SPINLOCK(LOCK_IOMMU); // the next three, entries of `devices`
static struct attached attached[PCI_MAX_FUNCTIONS];
static u32 attached_count;
static u16 domain_count;

u64 amd_read(const struct amd_iommu *u, u32 reg)
{
	u32 low = mmio_read32(u->regs + reg);

	return low | (u64)mmio_read32(u->regs + reg + 4) << 32;
}

void amd_write(const struct amd_iommu *u, u32 reg, u64 v)
{
	mmio_write32(u->regs + reg, (u32)v);
	mmio_write32(u->regs + reg + 4, (u32)(v >> 32));
}

// ---------------------------------------------------------------- domains

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

	if (!mapped || d->iommu->np_cache)
		amd_forget_pages(d->iommu, d->id, first, last);
}

static struct iommu_domain *attach(u16 address);
static void detach(u16 address);
static int message(u16 address, struct irq_message *m);

static const struct iommu_ops ops = {
	attach, detach, message, amd_tables_map, amd_tables_unmap, flush};

static struct amd_domain *domain_make(struct amd_iommu *u)
{
	struct amd_domain *d = kmem_alloc(sizeof(*d), FRAME_OWNER_KERNEL);

	if (!d || amd_tables_init(d))
		return NULL;
	d->irqs = kmem_alloc(PAGE_SIZE, FRAME_OWNER_KERNEL);
	if (!d->irqs)
		return NULL;
	d->domain.ops = &ops;
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
	d = d ? d : domain_make(iommus[r->iommu]);
	if (!d)
		return NULL;
	attached[attached_count] = (struct attached){address, requester, false, d};
	return &attached[attached_count++];
}

static struct iommu_domain *attach(u16 address)
{
	const struct ivrs_range *r = ivrs_find(&ivrs, address);
	struct attached *a;

	if (!r || !iommus[r->iommu]) {
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

// ---------------------------------------------------------------- switching them on

// Where I/O APICs are not known by their addresses, theirs cannot be told from others'.
static bool can_remap(void)
{
	return ivrs.ioapic_count && ivrs.ioapic_count >= acpi_info.ioapic_count;
}

static void leave_interrupts(u16 address)
{
	devices[address].q[2] = 0;
}

// The capability's first register; what cannot be read says the worst.
static u32 read_capability(const struct ivrs_iommu *i)
{
	u32 v = 0;

	if (IS_ALIGNED(i->capability, 4) && i->capability >= 0x40 && i->capability < 0x100)
		v = pci_read32(i->address, i->capability);
	return (v & 0xFF) == CAP_ID ? v : (u32)CAP_NP_CACHE;
}

static u64 control_of(u8 flags)
{
	return CONTROL_ON | CONTROL_COMMANDS | CONTROL_EVENTS | CONTROL_EVENT_IRQ |
	       CONTROL_COHERENT | (flags & IVHD_HT_TUNNEL ? CONTROL_HT_TUNNEL : 0) |
	       (flags & IVHD_PASS_PW ? CONTROL_PASS_PW : 0) |
	       (flags & IVHD_RES_PASS_PW ? CONTROL_RES_PASS : 0) |
	       (flags & IVHD_ISOCHRONOUS ? CONTROL_ISOC : 0);
}

// Firmware may have used it.
static bool stop(const struct amd_iommu *u)
{
	amd_write(u, R_CONTROL, 0);
	for (u32 i = 0; i < STOP_TRIES; i++)
		if (!(amd_read(u, R_STATUS) & (STATUS_LOGGING | STATUS_COMMANDED)))
			return true;
	return false;
}

// Messages about faults; without them they stay unsaid.
static void set_interrupt(struct amd_iommu *u)
{
	struct pci_function f = {.address = u->address};
	struct irq_message m;

	if (irq_alloc(pcpus[0], amd_events_interrupt, u, &m) < 0 || pci_irq_set(&f, 0, &m))
		log_line("iommu: no interrupt for it: what is refused is not logged");
}

// Tells it where its tables and rings are; false: its registers are none.
static bool set_up(struct amd_iommu *u)
{
	u64 table = va_to_hpa(devices).v | (DEVICES * sizeof(*devices) / PAGE_SIZE - 1);

	amd_write(u, R_DEVICE_TABLE, table);
	if (amd_read(u, R_DEVICE_TABLE) != table)
		return false;
	amd_write(u, R_COMMANDS, va_to_hpa(u->commands).v | LENGTH_256);
	amd_write(u, R_EVENTS, va_to_hpa((const void *)u->events).v | LENGTH_256);
	for (u32 reg = R_COMMAND_HEAD; reg <= R_EVENT_TAIL; reg += 8)
		amd_write(u, reg, 0);
	return true;
}

static struct amd_iommu *start(const struct ivrs_iommu *i)
{
	struct amd_iommu *u = kmem_alloc(sizeof(*u), FRAME_OWNER_KERNEL);
	u32 capability = read_capability(i);
	u64 base = i->base.v;
	bool all;

	if (!u || !base || !IS_ALIGNED(base, R_SIZE) || base >= BIT(52))
		return NULL;
	u->address = i->address;
	u->regs = mmio_map(i->base, R_SIZE);
	if (!u->regs || !stop(u) || amd_commands_init(u) || amd_events_init(u) || !set_up(u))
		return NULL;
	u->np_cache = capability & CAP_NP_CACHE;
	u->control = control_of(i->flags);
	set_interrupt(u);
	amd_write(u, R_CONTROL, u->control);
	all = capability & CAP_FEATURES && amd_read(u, R_FEATURES) & FEATURE_ALL;
	amd_forget_all(u, all);
	log_line("iommu: AMD-Vi at %#llx (%02x:%02x.%u) is on", (unsigned long long)base,
		i->address >> 8, i->address >> 3 & 31, i->address & 7);
	return u;
}

static bool make_table(void)
{
	devices = kmem_alloc(DEVICES * sizeof(*devices), FRAME_OWNER_KERNEL);
	if (!devices)
		return false;
	remapping = can_remap();
	for (u32 i = 0; i < DEVICES; i++)
		entry_set((u16)i, NULL);
	for (u32 i = 0; i < ivrs.chip_count; i++)
		leave_interrupts(ivrs.chips[i]);
	for (u32 i = 0; i < ivrs.iommu_count; i++)
		leave_interrupts(ivrs.iommus[i].address);
	return true;
}

void amd_iommu_init(void)
{
	if (!acpi_info.ivrs || cmdline_is("iommu", "off")) {
		log_line("iommu: %s: devices reach all memory",
			acpi_info.ivrs ? "off" : "AMD-Vi is not there");
		return;
	}
	ivrs_read(&ivrs, acpi_info.ivrs, acpi_info.ivrs_size);
	if (ivrs.left_out || ivrs.wishes)
		log_line("iommu: of ACPI's table %u entries are left out, and %u wishes of the "
			 "firmware to reach memory",
			ivrs.left_out, ivrs.wishes);
	if (!make_table()) {
		log_line("iommu: no memory for its table: devices reach all memory");
		return;
	}
	for (u32 i = 0; i < ivrs.iommu_count; i++) {
		iommus[i] = start(&ivrs.iommus[i]);
		if (!iommus[i])
			log_line("iommu: AMD-Vi at %#llx does not work",
				(unsigned long long)ivrs.iommus[i].base.v);
	}
	if (!remapping)
		log_line(
			"iommu: interrupts are not remapped: ACPI's table does not know all I/O APICs");
	iommu_register(&ops);
}
