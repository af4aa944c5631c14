// SPDX-License-Identifier: MIT
// Submission and completion queues (NVMe 1.4, 4.1). On x86 stores become visible in their order, so a plain
// store of a doorbell follows what was put into the ring before; only the compiler must be held.
#include "drivers/dma.h"
#include "drivers/nvme/nvme_internal.h"
#include "kernel/x86/port.h"
#include "lib/errno.h"
#include "lib/string.h"

int nvme_ring_init(struct nvme_ring *r, struct iommu_domain *d, u32 entries, u16 number)
{
	r->sq = dma_alloc(d, entries * sizeof(*r->sq));
	r->cq = dma_alloc(d, entries * sizeof(*r->cq));
	r->entries = entries;
	r->number = number;
	r->phase = 1;
	return r->sq && r->cq ? 0 : -ENOMEM;
}

void nvme_ring_reset(struct nvme_ring *r)
{
	for (u32 i = 0; i < r->entries; i++)
		r->cq[i].status = 0;
	r->tail = r->head = 0;
	r->phase = 1;
}

void nvme_ring_put(struct nvme_ring *r, const struct nvme_command *c)
{
	r->sq[r->tail] = *c;
	r->tail = (r->tail + 1) % r->entries;
}

static volatile u8 *doorbell(const struct nvme *n, const struct nvme_ring *r, u32 which)
{
	return n->regs + NVME_DOORBELLS + (2 * r->number + which) * n->doorbell_stride;
}

void nvme_ring_ring(const struct nvme *n, const struct nvme_ring *r)
{
	mmio_write32(doorbell(n, r, 0), r->tail);
}

bool nvme_ring_ready(const struct nvme_ring *r)
{
	return (r->cq[r->head].status & 1) == r->phase;
}

bool nvme_ring_take(struct nvme_ring *r, struct nvme_completion *out)
{
	volatile struct nvme_completion *c = &r->cq[r->head];
	u16 status = c->status;

	if ((status & 1) != r->phase)
		return false;
	*out = (struct nvme_completion){.result = c->result, .id = c->id, .status = status};
	r->head = (r->head + 1) % r->entries;
	if (r->head == 0)
		r->phase ^= 1;
	return true;
}

void nvme_ring_took(const struct nvme *n, const struct nvme_ring *r)
{
	mmio_write32(doorbell(n, r, 1), r->head);
}
