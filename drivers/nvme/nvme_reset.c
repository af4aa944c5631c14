// SPDX-License-Identifier: MIT
// Brings a controller to work, at start and after a failure (NVMe 1.4, 7.6.1 and 7.3.2), in steps that do not wait:
//
//   STOP -> STOPPING -> STARTING -> QUEUES -> it works       and from each to failure when its time is up.
#include "drivers/nvme/nvme_internal.h"
#include "kernel/core/log.h"
#include "kernel/x86/port.h"

#define STEP_NS  1000000ull
#define ADMIN_NS 5000000000ull // for one admin command

static void enter(struct nvme *n, enum nvme_state state, u64 ticks)
{
	n->state = state;
	n->deadline = time_now() + ticks;
}

static u64 die(struct nvme *n, const char *why)
{
	n->block.why = why;
	return BLOCK_FAILED;
}

static bool late(const struct nvme *n)
{
	return time_now() > n->deadline;
}

static u64 stop(struct nvme *n)
{
	mmio_write32(n->regs + NVME_CC, mmio_read32(n->regs + NVME_CC) & ~(u32)CC_ENABLE);
	enter(n, NVME_STOPPING, n->ready_ticks);
	return STEP_NS / 10;
}

static void write64(volatile u8 *at, u64 v)
{
	mmio_write32(at, (u32)v);
	mmio_write32(at + 4, (u32)(v >> 32));
}

static u64 stopping(struct nvme *n)
{
	u32 status = mmio_read32(n->regs + NVME_CSTS);

	if (status == ~0u)
		return die(n, "it has gone");
	if (status & CSTS_READY)
		return late(n) ? die(n, "it does not stop") : STEP_NS;
	nvme_ring_reset(&n->admin);
	n->aborts = 0;
	for (u32 i = 0; i < n->queue_count; i++)
		nvme_queue_reset(n->queues[i]);
	mmio_write32(n->regs + NVME_AQA, (NVME_ADMIN - 1) << 16 | (NVME_ADMIN - 1));
	write64(n->regs + NVME_ASQ, va_to_hpa(n->admin.sq).v);
	write64(n->regs + NVME_ACQ, va_to_hpa((const void *)n->admin.cq).v);
	mmio_write32(n->regs + NVME_CC, (u32)(CC_ENTRIES | CC_ENABLE));
	enter(n, NVME_STARTING, n->ready_ticks);
	return STEP_NS / 10;
}

static u64 starting(struct nvme *n)
{
	u32 status = mmio_read32(n->regs + NVME_CSTS);

	if (status == ~0u || status & CSTS_FATAL)
		return die(n, "it fails to start");
	if (!(status & CSTS_READY))
		return late(n) ? die(n, "it does not start") : STEP_NS;
	n->step = 0;
	n->sent = false;
	enter(n, NVME_QUEUES, time_from_ns(ADMIN_NS));
	return STEP_NS / 10;
}

// Commands of the bring-up: 0 asks for queues; then for each queue its completion side and its submission side.
static struct nvme_command command_of(const struct nvme *n, u32 step)
{
	const struct nvme_ring *r = step ? &n->queues[(step - 1) / 2]->ring : NULL;
	struct nvme_command c = {.opcode = NVME_SET_FEATURES, .dw10 = NVME_FEATURE_QUEUES};

	if (!r) {
		c.dw11 = (n->queue_count - 1) << 16 | (n->queue_count - 1);
		return c;
	}
	c.dw10 = (r->entries - 1) << 16 | r->number;
	if (step % 2) {
		c.opcode = NVME_CREATE_CQ;
		c.prp1 = va_to_hpa((const void *)r->cq).v;
		c.dw11 = (n->queue_count > 1 || pci_irq_count(n->pci) > 1 ? (u32)r->number << 16
									  : 0) |
			 (u32)(NVME_CQ_INTERRUPTS | NVME_QUEUE_CONTIGUOUS);
	} else {
		c.opcode = NVME_CREATE_SQ;
		c.prp1 = va_to_hpa(r->sq).v;
		c.dw11 = (u32)r->number << 16 | (u32)NVME_QUEUE_CONTIGUOUS;
	}
	return c;
}

// A queue less is no failure while none was used; fewer than it says it has are asked for.
static u64 answered(struct nvme *n, const struct nvme_completion *c)
{
	u32 given = MIN(c->result & 0xFFFF, c->result >> 16) + 1;

	if (c->status >> 1 && (n->step == 0 || n->created || n->step <= 2))
		return die(n, "it refuses to make queues");
	if (c->status >> 1)
		n->queue_count = (n->step - 1) / 2;
	else if (n->step == 0 && given < n->queue_count && n->created)
		return die(n, "it has fewer queues than before");
	else if (n->step == 0)
		n->queue_count = MIN(n->queue_count, given);
	n->sent = false;
	if (!(c->status >> 1) && n->step++ < 2 * n->queue_count) {
		enter(n, NVME_QUEUES, time_from_ns(ADMIN_NS));
		return STEP_NS / 10;
	}
	n->created = true;
	return 0;
}

static u64 make_queues(struct nvme *n)
{
	struct nvme_completion c;

	if (!n->sent) {
		struct nvme_command command = command_of(n, n->step);

		nvme_ring_put(&n->admin, &command);
		nvme_ring_ring(n, &n->admin);
		n->sent = true;
		return STEP_NS / 10;
	}
	if (!nvme_ring_take(&n->admin, &c))
		return late(n) ? die(n, "it does not answer") : STEP_NS / 10;
	nvme_ring_took(n, &n->admin);
	return answered(n, &c);
}

u64 nvme_recover(struct block_controller *c, bool first)
{
	struct nvme *n = container_of(c, struct nvme, block);

	switch (first ? NVME_STOP : n->state) {
	case NVME_STOP:
		return stop(n);
	case NVME_STOPPING:
		return stopping(n);
	case NVME_STARTING:
		return starting(n);
	default:
		return make_queues(n);
	}
}

void nvme_cut_off(struct block_controller *c)
{
	pci_disable(container_of(c, struct nvme, block)->pci);
}
