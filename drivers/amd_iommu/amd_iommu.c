// SPDX-License-Identifier: MIT
// Finds the machine's IOMMUs and switches them on.
#include "drivers/amd_iommu/amd_iommu.h"
#include "drivers/amd_iommu/amd_iommu_internal.h"
#include "drivers/pci.h"
#include "drivers/pci_port.h"
#include "kernel/core/cmdline.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/x86/acpi.h"
#include "kernel/x86/irq.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/port.h"

#define STOP_TRIES 100000u

struct ivrs *amd_ivrs;
struct amd_iommu *amd_iommus[IVRS_IOMMUS];

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

// The capability's first register; what cannot be read says the worst.
static u32 read_capability(const struct ivrs_iommu *i)
{
	u32 v = 0;

	if (IS_ALIGNED(i->capability, 4) && i->capability >= 0x40 && i->capability < 0x100)
		v = pci_port_read32(i->address, i->capability);
	return (v & 0xFF) == CAP_ID ? v : (u32)CAP_NP_CACHE;
}

static u64 control_of(u8 flags)
{
	return CONTROL_ON | CONTROL_COMMANDS | CONTROL_COHERENT |
	       (flags & IVHD_HT_TUNNEL ? CONTROL_HT_TUNNEL : 0) |
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
static void log_events(struct amd_iommu *u)
{
	struct pci_function f = {.address = u->address};
	struct irq_message m;

	if (amd_events_init(u) || irq_alloc(pcpus[0], amd_events_interrupt, u, &m) < 0 ||
		pci_irq_set(&f, 0, &m)) {
		log_line("iommu: no interrupt for it: what is refused is not logged");
		return;
	}
	amd_write(u, R_EVENTS, va_to_hpa((const void *)u->events).v | LENGTH_256);
	u->control |= CONTROL_EVENTS | CONTROL_EVENT_IRQ;
}

// Tells it where its tables and rings are; false: its registers are none.
static bool set_up(struct amd_iommu *u)
{
	u64 table = amd_domains_table();

	amd_write(u, R_DEVICE_TABLE, table);
	if (amd_read(u, R_DEVICE_TABLE) != table)
		return false;
	amd_write(u, R_COMMANDS, va_to_hpa(u->commands).v | LENGTH_256);
	for (u32 reg = R_COMMAND_HEAD; reg <= R_EVENT_TAIL; reg += 8)
		amd_write(u, reg, 0);
	return true;
}

typedef void prepare_fn(struct amd_iommu *u);

static struct amd_iommu *start(const struct ivrs_iommu *i, prepare_fn *prepare)
{
	struct amd_iommu *u = kmem_alloc(sizeof(*u), FRAME_OWNER_KERNEL);
	u32 capability = read_capability(i);
	u64 base = i->base.v;
	bool all;

	if (!u || !base || !IS_ALIGNED(base, R_SIZE) || base >= BIT(52))
		return NULL;
	u->address = i->address;
	u->regs = mmio_map(i->base, R_SIZE);
	if (!u->regs || !stop(u) || amd_commands_init(u) || !set_up(u))
		return NULL;
	u->np_cache = capability & CAP_NP_CACHE;
	u->control = control_of(i->flags);
	if (prepare)
		prepare(u);
	amd_write(u, R_CONTROL, u->control);
	all = capability & CAP_FEATURES && amd_read(u, R_FEATURES) & FEATURE_ALL;
	amd_forget_all(u, all);
	log_line("iommu: AMD-Vi at %#llx (%02x:%02x.%u) is on", (unsigned long long)base,
		i->address >> 8, i->address >> 3 & 31, i->address & 7);
	return u;
}

static void no_memory(void)
{
	log_line("iommu: no memory for its tables: devices reach all memory");
}

static bool find(void)
{
	if (!acpi_info.ivrs || cmdline_is("iommu", "off")) {
		log_line("iommu: %s: devices reach all memory",
			acpi_info.ivrs ? "off" : "AMD-Vi is not there");
		return false;
	}
	amd_ivrs = kmem_alloc(sizeof(*amd_ivrs), FRAME_OWNER_KERNEL);
	if (!amd_ivrs) {
		no_memory();
		return false;
	}
	ivrs_read(amd_ivrs, acpi_info.ivrs, acpi_info.ivrs_size);
	if (amd_ivrs->left_out || amd_ivrs->wishes)
		log_line("iommu: of ACPI's table %u entries are left out, and %u wishes of the "
			 "firmware to reach memory",
			amd_ivrs->left_out, amd_ivrs->wishes);
	return true;
}

// How many work.
static u32 start_all(prepare_fn *prepare)
{
	u32 n = 0;

	for (u32 i = 0; i < amd_ivrs->iommu_count; i++) {
		amd_iommus[i] = start(&amd_ivrs->iommus[i], prepare);
		if (amd_iommus[i])
			n++;
		else
			log_line("iommu: AMD-Vi at %#llx does not work",
				(unsigned long long)amd_ivrs->iommus[i].base.v);
	}
	return n;
}

void amd_iommu_init(void)
{
	const struct iommu_ops *ops;

	if (!find())
		return;
	ops = amd_domains_init();
	if (!ops) {
		no_memory();
		return;
	}
	start_all(log_events);
	iommu_register(ops);
}

struct iommu_domain *amd_iommu_init_shared(void)
{
	struct iommu_domain *d;

	if (!find())
		return NULL;
	d = amd_domains_init_shared();
	if (!d)
		no_memory();
	return d && start_all(NULL) ? d : NULL;
}

bool amd_iommu_has(u64 at)
{
	for (u32 i = 0; amd_ivrs && i < amd_ivrs->iommu_count; i++)
		if (at - amd_ivrs->iommus[i].base.v < R_SIZE)
			return true;
	return false;
}
