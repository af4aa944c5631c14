// SPDX-License-Identifier: MIT
// Finds NVMe controllers and brings them to work (NVMe 1.4, 7.6.1).
#include "drivers/nvme/nvme.h"
#include "drivers/dma.h"
#include "drivers/nvme/nvme_internal.h"
#include "kernel/core/log.h"
#include "kernel/core/pcpu.h"
#include "kernel/x86/irq.h"
#include "kernel/x86/port.h"
#include "lib/errno.h"
#include "lib/format.h"

#define CLASS        0x010802u
#define REGS_MIN     (NVME_DOORBELLS + 0x1000)
#define READY_UNIT   500000000ull // ns, of CAP.TO
#define READY_MAX_NS 60000000000ull

static u32 number;

// False: it is none that this driver can use.
static bool read_capabilities(struct nvme *n)
{
	u32 low = mmio_read32(n->regs + NVME_CAP), high = mmio_read32(n->regs + NVME_CAP + 4);
	u32 queues = MIN(pcpu_count, BLOCK_QUEUES), messages = pci_irq_count(n->pci);

	if (low == ~0u || (high >> 16 & 15) != 0 ||
		!(high & BIT(5))) { // MPSMIN, the NVM command set
		log_line("%s: it does not take pages of 4 KiB, or no NVM commands", n->block.name);
		return false;
	}
	n->entries = MIN((low & 0xFFFF) + 1, NVME_ENTRIES);
	n->ready_ticks = time_from_ns(MIN(MAX(low >> 24, 1) * READY_UNIT, READY_MAX_NS));
	n->doorbell_stride = 4u << (high & 15);
	// Message 0 is that of the admin queue; with only one message there is one queue.
	n->queue_count = messages > 1 ? MIN(queues, messages - 1) : 1;
	return n->entries >= 2 &&
	       pci_map(n->pci, 0,
		       NVME_DOORBELLS + (n->queue_count + 1) * 2ull * n->doorbell_stride);
}

static int set_interrupts(struct nvme *n)
{
	bool one = pci_irq_count(n->pci) == 1;

	for (u32 i = 0; i < n->queue_count; i++) {
		struct irq_message m;
		int err = irq_alloc(pcpus[i], nvme_interrupt, n->queues[i], &m);

		if (err < 0)
			return err;
		err = pci_irq_set(n->pci, one ? 0 : i + 1, &m);
		if (err)
			return err;
		if (!one)
			block_hot_init(&n->queues[i]->block, pcpus[i]);
	}
	return 0;
}

static int make_rings(struct nvme *n)
{
	int err = nvme_ring_init(&n->admin, n->pci->domain, NVME_ADMIN, 0);

	for (u32 i = 0; i < n->queue_count && !err; i++)
		err = nvme_queue_init(n, i);
	return err ? err : set_interrupts(n);
}

static void add(struct pci_function *f)
{
	struct nvme *n = kmem_alloc(sizeof(*n), FRAME_OWNER_KERNEL);

	if (!n)
		return;
	n->pci = f;
	block_controller_init(&n->block, &nvme_driver);
	format(n->block.name, sizeof(n->block.name), "nvme%u", number++);
	n->regs = pci_map(f, 0, REGS_MIN);
	if (!n->regs) {
		log_line("%s: its registers cannot be reached", n->block.name);
		return;
	}
	pci_enable(f);
	n->block.domain = f->domain;
	if (!read_capabilities(n) || make_rings(n)) {
		log_line("%s: no memory or interrupts for it", n->block.name);
		pci_disable(f);
		return;
	}
	if (block_bring_up(&n->block))
		return;
	n->block.queue_count = n->queue_count;
	if (nvme_identify(n))
		nvme_register(n);
	else
		pci_disable(f);
}

void nvme_init(void)
{
	for (u32 i = 0; i < pci_count(); i++)
		if (pci_at(i)->class == CLASS)
			add(pci_at(i));
}
