// SPDX-License-Identifier: MIT
// Brings a port to work, at start and after a failure (AHCI 1.3.1, 10.1.2 and 10.4.2), in steps that do not wait:
//
//   STOP -> STOPPING -> RESETTING -> WAKING -> BUSY -> it works
#include "drivers/ahci/ahci_internal.h"
#include "drivers/dma.h"
#include "kernel/x86/port.h"

#define STEP_NS 1000000ull
#define STOP_NS 1000000000ull
#define WAKE_NS 200000000ull   // for the link
#define BUSY_NS 30000000000ull // a disk may have to spin up

static u32 get(const struct ahci_port *p, u32 reg)
{
	return mmio_read32(p->regs + reg);
}
static void set(const struct ahci_port *p, u32 reg, u32 v)
{
	mmio_write32(p->regs + reg, v);
}

static u64 enter(struct ahci_port *p, enum ahci_state state, u64 ns)
{
	p->state = state;
	p->deadline = time_now() + time_from_ns(ns);
	return STEP_NS;
}

static u64 wait_or(struct ahci_port *p, const char *why)
{
	p->block.why = why;
	return time_now() > p->deadline ? BLOCK_FAILED : STEP_NS;
}

static u64 stop(struct ahci_port *p)
{
	set(p, PORT_IE, 0);
	set(p, PORT_CMD, get(p, PORT_CMD) & ~(u32)CMD_ST);
	return enter(p, AHCI_STOPPING, STOP_NS);
}

// No command runs, so nothing is written to memory but FIS, for which there is room for good. The link is reset.
static u64 stopping(struct ahci_port *p)
{
	if (get(p, PORT_CMD) & CMD_CR)
		return wait_or(p, "it does not stop");
	spin_lock(&p->queue.lock);
	p->busy = 0;
	for (u32 i = 0; i < AHCI_SLOTS; i++)
		p->requests[i] = NULL;
	spin_unlock(&p->queue.lock);
	set(p, PORT_CLB, (u32)dma_address(p->headers));
	set(p, PORT_CLBU, (u32)(dma_address(p->headers) >> 32));
	set(p, PORT_FB, (u32)dma_address(p->headers + AHCI_SLOTS));
	set(p, PORT_FBU, (u32)(dma_address(p->headers + AHCI_SLOTS) >> 32));
	set(p, PORT_CMD, get(p, PORT_CMD) | (u32)(CMD_FRE | CMD_SPIN_UP | CMD_POWER));
	set(p, PORT_SCTL, (get(p, PORT_SCTL) & ~DET_MASK) | 1);
	return 2 * enter(p, AHCI_RESETTING, 0);
}

static u64 resetting(struct ahci_port *p)
{
	set(p, PORT_SCTL, get(p, PORT_SCTL) & ~DET_MASK);
	return enter(p, AHCI_WAKING, WAKE_NS);
}

static u64 waking(struct ahci_port *p)
{
	if ((get(p, PORT_SSTS) & DET_MASK) != DET_PRESENT)
		return wait_or(p, "no disk answers");
	set(p, PORT_SERR, ~0u);
	return enter(p, AHCI_BUSY, BUSY_NS);
}

static u64 busy(struct ahci_port *p)
{
	if (get(p, PORT_TFD) & TFD_BUSY)
		return wait_or(p, "the disk does not get ready");
	set(p, PORT_IS, ~0u);
	set(p, PORT_IE, IS_WANTED);
	set(p, PORT_CMD, get(p, PORT_CMD) | (u32)CMD_ST);
	return 0;
}

u64 ahci_recover(struct block_controller *c, bool first)
{
	struct ahci_port *p = container_of(c, struct ahci_port, block);

	switch (first ? AHCI_STOP : p->state) {
	case AHCI_STOP:
		return stop(p);
	case AHCI_STOPPING:
		return stopping(p);
	case AHCI_RESETTING:
		return resetting(p);
	case AHCI_WAKING:
		return waking(p);
	default:
		return busy(p);
	}
}

// The other ports' disks are not to suffer, so the controller stays a master of the bus if this port can be stopped:
// where it does not stop, all of the controller is cut off.
void ahci_cut_off(struct block_controller *c)
{
	struct ahci_port *p = container_of(c, struct ahci_port, block);

	set(p, PORT_IE, 0);
	set(p, PORT_CMD, get(p, PORT_CMD) & ~(u32)(CMD_ST | CMD_FRE));
	if (get(p, PORT_CMD) & (CMD_CR | CMD_FR))
		pci_disable(p->pci);
}
