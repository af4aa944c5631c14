// SPDX-License-Identifier: MIT
// Asks a controller who it is and which namespaces it has (NVMe 1.4, 5.15), and makes disks of them.
#include "drivers/dma.h"
#include "drivers/nvme/nvme_internal.h"
#include "kernel/core/log.h"
#include "kernel/x86/time.h"
#include "lib/string.h"

#define ANSWER_NS  5000000000ull
#define POLL_NS    20000ull
#define BLOCK_MIN  9u // powers of two
#define BLOCK_MAX  12u
#define BLOCKS_MAX BIT(48)

// What identify gives; read by offset, as the device wrote it.
static u64 get(const u8 *p, u32 offset, u32 size)
{
	u64 v = 0;

	memcpy(&v, p + offset, size);
	return v;
}

// Sends one command and waits for its answer.
static bool identify(struct nvme *n, u32 what, u32 namespace, void *page)
{
	struct nvme_command c = {.opcode = NVME_IDENTIFY,
		.namespace = namespace,
		.prp1 = dma_address(page),
		.dw10 = what};
	struct nvme_completion answer;
	u64 start = time_now();

	nvme_ring_put(&n->admin, &c);
	nvme_ring_ring(n, &n->admin);
	while (!nvme_ring_take(&n->admin, &answer)) {
		if (time_to_ns(time_now() - start) > ANSWER_NS)
			return false;
		time_wait_ns(POLL_NS);
	}
	nvme_ring_took(n, &n->admin);
	return !(answer.status >> 1);
}

// Text without the blanks that fill it up; what is not printable becomes ?.
static void copy_text(char *to, const u8 *from, u32 n)
{
	while (n && (from[n - 1] == ' ' || !from[n - 1]))
		n--;
	for (u32 i = 0; i < n; i++)
		to[i] = from[i] >= ' ' && from[i] < 127 && from[i] != '"' ? (char)from[i] : '?';
	to[n] = 0;
}

bool nvme_identify(struct nvme *n)
{
	u8 *page = dma_alloc(n->block.domain, PAGE_SIZE);
	char model[41];
	u32 mdts;

	if (!page || !identify(n, NVME_ID_CONTROLLER, 0, page)) {
		log_line("%s: it does not say who it is", n->block.name);
		return false; // the page stays: the answer may still come
	}
	copy_text(n->serial, page + 4, 20);
	copy_text(model, page + 24, 40);
	mdts = (u32)get(page, 77, 1); // a power of two, in units of the smallest page; 0: no limit
	n->max_bytes = (u32)(mdts && mdts < 8 ? PAGE_SIZE << mdts : NVME_BYTES_MAX);
	n->optional = (u32)get(page, 520, 2);
	log_line("%s: \"%s\", %u queues of %u, %u KiB a command", n->block.name, model,
		n->queue_count, n->entries - 1, n->max_bytes / 1024);
	dma_free(n->block.domain, page, PAGE_SIZE);
	return true;
}

// False: what the namespace says cannot be used.
static bool read_namespace(struct nvme *n, struct block_disk *d, u32 id, const u8 *page)
{
	u32 format_at = 128 + 4 * (u32)(get(page, 26, 1) & 15);
	u32 shift = (u32)get(page, format_at + 2, 1), block;
	u64 blocks = get(page, 0, 8);

	if (shift < BLOCK_MIN || shift > BLOCK_MAX || get(page, format_at, 2) || !blocks ||
		blocks > BLOCKS_MAX) {
		log_line(
			"%s: namespace %u cannot be used: blocks of 2^%u bytes with %u of metadata",
			n->block.name, id, shift, (u32)get(page, format_at, 2));
		return false;
	}
	block = 1u << shift;
	*d = (struct block_disk){.controller = &n->block,
		.sectors = blocks << (shift - BLOCK_MIN),
		.unit = id,
		.limits = {.block_size = block,
			.physical_block = block,
			.max_bytes = n->max_bytes,
			.max_segments = ~0u,
			.align = 4,
			.page = PAGE_SIZE,
			.max_discard = n->optional & NVME_ONCS_DSM ? 1ull << 30 : 0,
			.max_zero = n->optional & NVME_ONCS_ZEROES ? 1ull << 15 : 0,
			.read_only = get(page, 99, 1) & 1}};
	format(d->name, sizeof(d->name), "%sn%u", n->block.name, id);
	memcpy(d->id, n->serial, sizeof(d->id));
	return true;
}

void nvme_register(struct nvme *n)
{
	u8 *list = dma_alloc(n->block.domain, PAGE_SIZE),
	   *page = dma_alloc(n->block.domain, PAGE_SIZE);

	if (!list || !page || !identify(n, NVME_ID_NAMESPACES, 0, list)) {
		log_line("%s: its namespaces are not known", n->block.name);
		return;
	}
	for (u32 i = 0; i < PAGE_SIZE / 4 && n->disk_count < NVME_DISKS; i++) {
		u32 id = (u32)get(list, 4 * i, 4);
		struct block_disk *d = &n->disks[n->disk_count];

		if (!id || !identify(n, NVME_ID_NAMESPACE, id, page))
			break;
		if (read_namespace(n, d, id, page))
			n->disk_count++;
	}
	dma_free(n->block.domain, list, PAGE_SIZE);
	dma_free(n->block.domain, page, PAGE_SIZE);
	for (u32 i = 0; i < n->disk_count; i++)
		block_register(&n->disks[i]);
}
