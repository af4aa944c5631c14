// SPDX-License-Identifier: MIT
// A function's message-signalled interrupts: MSI-X (PCI 3.0, 6.8.2), else one of MSI (6.8.1).
#include "drivers/iommu.h"
#include "drivers/pci.h"
#include "kernel/x86/irq.h"
#include "kernel/x86/port.h"
#include "lib/errno.h"

#define MSIX_ENABLE  BIT(31) // of the capability's first 32 bits
#define MSIX_MASKED  BIT(30)
#define MSIX_ENTRY   16u
#define MSI_ENABLE   BIT(16)
#define MSI_MULTIPLE (7u << 20)
#define MSI_64       BIT(23)

static u32 msix_count(const struct pci_function *f, u32 cap)
{
	return (pci_read32(f->address, cap) >> 16 & 0x7FF) + 1;
}

u32 pci_irq_count(const struct pci_function *f)
{
	u32 cap = pci_capability(f, PCI_CAP_MSIX, 0);

	if (cap)
		return msix_count(f, cap);
	return pci_capability(f, PCI_CAP_MSI, 0) ? 1 : 0;
}

// The table lies in a BAR; all its entries are masked before it is switched on.
static int msix_open(struct pci_function *f, u32 cap)
{
	u32 where = pci_read32(f->address, cap + 4), n = msix_count(f, cap);
	u64 offset = where & ~7u;
	volatile u8 *map = pci_map(f, where & 7, offset + n * MSIX_ENTRY);

	if (!map)
		return -ENODEV;
	f->msix = map + offset;
	pci_write32(f->address, cap, pci_read32(f->address, cap) | MSIX_ENABLE | MSIX_MASKED);
	for (u32 i = 0; i < n; i++)
		mmio_write32(f->msix + i * MSIX_ENTRY + 12, 1);
	pci_write32(f->address, cap, pci_read32(f->address, cap) & ~(u32)MSIX_MASKED);
	return 0;
}

static int msix_set(struct pci_function *f, u32 cap, u32 n, const struct irq_message *m)
{
	volatile u8 *entry;

	if (n >= msix_count(f, cap))
		return -EINVAL;
	if (!f->msix && msix_open(f, cap))
		return -ENODEV;
	entry = f->msix + n * MSIX_ENTRY;
	mmio_write32(entry + 12, 1);
	mmio_write32(entry, (u32)m->address);
	mmio_write32(entry + 4, (u32)(m->address >> 32));
	mmio_write32(entry + 8, m->data);
	mmio_write32(entry + 12, 0);
	return 0;
}

static int msi_set(struct pci_function *f, u32 cap, const struct irq_message *m)
{
	u32 control = pci_read32(f->address, cap), data = control & MSI_64 ? 12 : 8;

	pci_write32(f->address, cap + 4, (u32)m->address);
	if (control & MSI_64)
		pci_write32(f->address, cap + 8, (u32)(m->address >> 32));
	pci_write32(f->address, cap + data, m->data);
	pci_write32(f->address, cap, (control & ~MSI_MULTIPLE) | MSI_ENABLE);
	return 0;
}

void pci_irq_mask(struct pci_function *f, u32 n, bool on)
{
	if (f->msix)
		mmio_write32(f->msix + n * MSIX_ENTRY + 12, on);
}

int pci_irq_set(struct pci_function *f, u32 n, const struct irq_message *message)
{
	u32 cap = pci_capability(f, PCI_CAP_MSIX, 0);
	struct irq_message m = *message;

	if (iommu_message(f->address, &m))
		return -ENODEV;
	if (cap)
		return msix_set(f, cap, n, &m);
	cap = pci_capability(f, PCI_CAP_MSI, 0);
	if (!cap)
		return -ENODEV;
	return n == 0 ? msi_set(f, cap, &m) : -EINVAL;
}
