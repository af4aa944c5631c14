// SPDX-License-Identifier: MIT
// Reads, writes and their kin: block requests to NVMe commands and back (NVMe 1.4, 6). Data goes straight
// between the device and the memory that the request names, as lists of pages (PRP, 4.3).
#include "drivers/dma.h"
#include "drivers/nvme/nvme_internal.h"
#include "lib/errno.h"

#define PAGE_MASK (PAGE_SIZE - 1)

static struct nvme_queue *of(struct block_queue *q)
{
	return container_of(q, struct nvme_queue, block);
}

// The limits of the disk (page, align, max_bytes) see to it that the pages follow each other and fit.
static void set_pages(struct nvme_queue *q, struct block_request *r, struct nvme_command *c)
{
	u64 *list = q->lists + r->slot * NVME_LIST;
	struct block_cursor cursor;
	struct block_segment s;
	u32 n = 0;

	block_cursor_start(&cursor, r);
	while (block_cursor_next(&cursor, &s)) {
		for (u64 at = s.at.v; at < s.at.v + s.len; at = (at | PAGE_MASK) + 1) {
			if (n == 0)
				c->prp1 = at;
			else
				list[n - 1] = at;
			n++;
		}
	}
	c->prp2 = n == 2 ? list[0] : n > 2 ? dma_address(list) : 0;
}

static void set_range(struct nvme_queue *q, struct block_request *r, struct nvme_command *c,
	u64 first, u64 blocks)
{
	struct nvme_range *range = (void *)(q->lists + r->slot * NVME_LIST);

	*range = (struct nvme_range){.blocks = (u32)blocks, .first = first};
	c->prp1 = dma_address(range);
	c->dw10 = 0; // one range
	c->dw11 = (u32)NVME_DSM_DEALLOCATE;
}

static void set_blocks(struct nvme_command *c, u64 first, u64 blocks)
{
	c->dw10 = (u32)first;
	c->dw11 = (u32)(first >> 32);
	c->dw12 = (u32)blocks - 1;
}

static int start(struct block_queue *queue, struct block_request *r)
{
	static const u8 opcodes[] = {[BLOCK_READ] = NVME_READ,
		[BLOCK_WRITE] = NVME_WRITE,
		[BLOCK_FLUSH] = NVME_FLUSH,
		[BLOCK_DISCARD] = NVME_DSM,
		[BLOCK_ZERO] = NVME_WRITE_ZEROES};
	struct nvme_queue *q = of(queue);
	u32 scale = r->disk->limits.block_size / BLOCK_SECTOR;
	u64 first = r->piece.sector / scale, blocks = r->piece.sectors / scale;
	struct nvme_command c = {.opcode = opcodes[r->op], .namespace = r->disk->unit};

	if (!q->free)
		return -EAGAIN;
	r->slot = (u16)__builtin_ctzll(q->free);
	q->free &= q->free - 1;
	q->requests[r->slot] = r;
	c.id = r->slot;
	if (r->op == BLOCK_DISCARD)
		set_range(q, r, &c, first, blocks);
	else if (r->op != BLOCK_FLUSH)
		set_blocks(&c, first, blocks);
	if (r->op == BLOCK_READ || r->op == BLOCK_WRITE)
		set_pages(q, r, &c);
	nvme_ring_put(&q->ring, &c);
	return 0;
}

static void kick(struct block_queue *queue)
{
	nvme_ring_ring(of(queue)->controller, &of(queue)->ring);
}

// At most as many as the ring has; the device cannot keep us here.
static u32 take_completions(struct nvme_queue *q)
{
	struct nvme_completion c;
	u32 taken = 0;

	while (taken < q->ring.entries && nvme_ring_take(&q->ring, &c)) {
		struct block_request *r = c.id < NVME_SLOTS ? q->requests[c.id] : NULL;

		taken++;
		if (!r) {
			q->strange++;
			continue;
		}
		q->requests[c.id] = NULL;
		q->free |= BIT(c.id);
		block_complete(&q->block, r, c.status >> 1 ? -EIO : 0);
	}
	if (taken)
		nvme_ring_took(q->controller, &q->ring);
	return taken;
}

void nvme_interrupt(void *queue)
{
	struct nvme_queue *q = queue;
	u32 taken = 0;

	spin_lock(&q->block.lock);
	if (!q->block.stopped)
		taken = take_completions(q);
	block_queue_end(&q->block);
	if (taken)
		block_heat(&q->block);
}

static bool ready(const struct block_queue *queue)
{
	return nvme_ring_ready(&container_of(queue, const struct nvme_queue, block)->ring);
}

// Its message is that of its number, as message 0 is the admin queue's.
static void mask(struct block_queue *queue, bool on)
{
	struct nvme_queue *q = of(queue);

	pci_irq_mask(q->controller->pci, q->ring.number, on);
}

// NVMe 1.4, 5.1. Its answer is left in the ring until the next one is sent; what counts is the answer of
// the command itself.
static void abort_command(struct nvme *n, const struct nvme_queue *q, u16 slot)
{
	struct nvme_command c = {.opcode = NVME_ABORT, .dw10 = (u32)slot << 16 | q->ring.number};
	struct nvme_completion old;

	spin_lock(&n->block.lock);
	if (n->block.state == BLOCK_LIVE) {
		while (n->aborts && nvme_ring_take(&n->admin, &old)) {
			n->aborts--;
			nvme_ring_took(n, &n->admin);
		}
		if (n->aborts < NVME_ADMIN - 1) {
			n->aborts++;
			nvme_ring_put(&n->admin, &c);
			nvme_ring_ring(n, &n->admin);
		}
	}
	spin_unlock(&n->block.lock);
}

// First looks whether the answer is there and only its interrupt was lost; then aborts it, then resets.
static bool expire(struct block_queue *queue, struct block_request *r)
{
	struct nvme_queue *q = of(queue);

	if (r->expiries == 1) {
		abort_command(q->controller, q, r->slot);
		take_completions(q);
		return true;
	}
	block_reset(&q->controller->block, "a command is not answered");
	return false;
}

const struct block_driver nvme_driver = {
	start, kick, expire, ready, nvme_interrupt, mask, nvme_recover, nvme_cut_off};

void nvme_queue_reset(struct nvme_queue *q)
{
	spin_lock(&q->block.lock);
	nvme_ring_reset(&q->ring);
	q->free = BIT(q->ring.entries - 1) - 1;
	for (u32 i = 0; i < NVME_SLOTS; i++)
		q->requests[i] = NULL;
	spin_unlock(&q->block.lock);
}

int nvme_queue_init(struct nvme *n, u32 i)
{
	struct nvme_queue *q = kmem_alloc(sizeof(*q), FRAME_OWNER_KERNEL);

	if (!q || block_queue_init(&q->block, &n->block) ||
		nvme_ring_init(&q->ring, n->block.domain, n->entries, (u16)(i + 1)))
		return -ENOMEM;
	q->controller = n;
	q->lists = dma_alloc(n->block.domain, NVME_SLOTS * NVME_LIST * sizeof(u64));
	if (!q->lists)
		return -ENOMEM;
	n->queues[i] = q;
	n->block.queues[i] = &q->block;
	nvme_queue_reset(q);
	return 0;
}
