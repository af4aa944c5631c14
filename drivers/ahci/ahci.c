// SPDX-License-Identifier: MIT
// Finds AHCI controllers and the disks at their ports (AHCI 1.3.1, 10.1.2).
#include "drivers/ahci/ahci.h"
#include "drivers/ahci/ahci_internal.h"
#include "drivers/dma.h"
#include "kernel/core/log.h"
#include "kernel/core/pcpu.h"
#include "kernel/x86/irq.h"
#include "kernel/x86/port.h"
#include "kernel/x86/time.h"
#include "lib/errno.h"
#include "lib/format.h"

#define CLASS      0x010601u
#define BAR        5
#define HANDOFF_MS 2000u
#define LINK_MS    20u // a port where nothing has shown up after this is empty

struct hba {
	struct pci_function *pci;
	volatile u8 *regs;
	struct ahci_port *ports[AHCI_PORTS];
	u32 slots;
	bool queues; // commands, if the disk does
};

static u32 number, controllers;

static void interrupt(void *arg)
{
	struct hba *h = arg;
	u32 causes = mmio_read32(h->regs + HBA_IS);

	for (u32 i = 0; i < AHCI_PORTS; i++)
		if (causes >> i & 1 && h->ports[i])
			ahci_port_interrupt(h->ports[i]);
	mmio_write32(h->regs + HBA_IS, causes);
}

// The firmware lets go of the controller (10.6); it may not care to answer.
static void take_over(struct hba *h)
{
	if (!(mmio_read32(h->regs + HBA_CAP2) & CAP2_BOH))
		return;
	mmio_write32(h->regs + HBA_BOHC, mmio_read32(h->regs + HBA_BOHC) | (u32)BOHC_OS);
	for (u32 i = 0; i < HANDOFF_MS && mmio_read32(h->regs + HBA_BOHC) & BOHC_BIOS; i++)
		time_wait_ns(1000000);
}

static bool link_shows(const volatile u8 *port)
{
	for (u32 i = 0; i < LINK_MS; i++) {
		if (mmio_read32(port + PORT_SSTS) & DET_MASK)
			return true;
		time_wait_ns(1000000);
	}
	return false;
}

static struct ahci_port *port_make(struct hba *h, volatile u8 *regs)
{
	struct ahci_port *p = kmem_alloc(sizeof(*p), FRAME_OWNER_KERNEL);

	if (!p)
		return NULL;
	p->pci = h->pci;
	p->block.domain = h->pci->domain;
	p->regs = regs;
	p->slots = h->slots;
	p->headers = dma_alloc(p->block.domain, PAGE_SIZE);
	p->tables = dma_alloc(p->block.domain, AHCI_SLOTS * sizeof(*p->tables));
	p->ranges = dma_alloc(p->block.domain, AHCI_SLOTS * sizeof(*p->ranges));
	format(p->block.name, sizeof(p->block.name), "sata%u", number);
	block_controller_init(&p->block, &ahci_driver);
	p->block.queue_count = 1;
	p->block.queues[0] = &p->queue;
	return p->headers && p->tables && p->ranges && !block_queue_init(&p->queue, &p->block)
		       ? p
		       : NULL;
}

static void add_port(struct hba *h, u32 i)
{
	volatile u8 *regs = h->regs + HBA_PORTS + i * PORT_SIZE;
	struct ahci_port *p = link_shows(regs) ? port_make(h, regs) : NULL;

	if (!p || block_bring_up(&p->block))
		return;
	if (mmio_read32(regs + PORT_SIG) != SIG_DISK || !ahci_identify(p)) {
		ahci_cut_off(&p->block); // a CD drive, or whatever it is
		return;
	}
	if (!h->queues)
		p->depth = 0;
	number++;
	mmio_write32(regs + PORT_IS, ~0u);
	h->ports[i] = p;
	block_register(&p->disk);
}

static int start(struct hba *h)
{
	struct irq_message m;
	int err;

	pci_enable(h->pci);
	h->regs = pci_map(h->pci, BAR, HBA_PORTS + PORT_SIZE);
	if (!h->regs)
		return -ENODEV;
	take_over(h);
	mmio_write32(h->regs + HBA_GHC, (u32)GHC_AHCI);
	if (!(mmio_read32(h->regs + HBA_CAP) & CAP_64))
		return -ENODEV; // it would not reach all memory
	h->slots = (mmio_read32(h->regs + HBA_CAP) >> 8 & 31) + 1;
	h->queues = mmio_read32(h->regs + HBA_CAP) & CAP_NCQ;
	err = irq_alloc(pcpus[controllers++ % pcpu_count], interrupt, h, &m);
	if (err >= 0)
		err = pci_irq_set(h->pci, 0, &m);
	if (err)
		return err;
	mmio_write32(h->regs + HBA_GHC, (u32)(GHC_AHCI | GHC_IRQ));
	return 0;
}

static void add(struct pci_function *f)
{
	struct hba *h = kmem_alloc(sizeof(*h), FRAME_OWNER_KERNEL);
	u32 ports;

	if (!h)
		return;
	h->pci = f;
	if (start(h)) {
		log_line("ahci: a controller that cannot be used: its registers, its interrupts or "
			 "32-bit addresses");
		pci_disable(f);
		return;
	}
	ports = mmio_read32(h->regs + HBA_PI);
	for (u32 i = 0; i < AHCI_PORTS; i++)
		if (ports >> i & 1 && HBA_PORTS + (i + 1) * PORT_SIZE <= f->bars[BAR].size)
			add_port(h, i);
}

void ahci_init(void)
{
	for (u32 i = 0; i < pci_count(); i++)
		if (pci_at(i)->class == CLASS)
			add(pci_at(i));
}
