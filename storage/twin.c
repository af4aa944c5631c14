// SPDX-License-Identifier: MIT
// The headers of the two copies, and which copy counts.
#include "storage/twin.h"

#include "lib/string.h"
#include "storage/crc32.h"

static const u8 magic[8] = "MEZZTWIN";

static u32 header_crc(const struct twin_header *h)
{
	static const u8 zero[4];
	u32 crc = crc32_add(0, h, offsetof(struct twin_header, crc));

	crc = crc32_add(crc, zero, sizeof(zero));
	return crc32_add(crc, &h->blocks, sizeof(*h) - offsetof(struct twin_header, blocks));
}

static bool all_zero(const u8 *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i])
			return false;
	return true;
}

static bool header_good(const struct twin_header *h)
{
	return memcmp(h->magic, magic, sizeof(magic)) == 0 && h->crc == header_crc(h) &&
	       h->blocks <= TWIN_BLOCKS;
}

static bool data_good(const struct twin_header *h)
{
	const u8 *data = (const u8 *)(h + 1);

	for (u32 i = 0; i < h->blocks; i++)
		if (crc32_add(0, data + i * TWIN_BLOCK, TWIN_BLOCK) != h->block_crc[i])
			return false;
	return true;
}

static bool is_ours(const struct twin_header *h)
{
	return memcmp(h->magic, magic, sizeof(magic)) == 0;
}

// One slot alone; what has no good header is foreign.
static enum twin_state slot_look(const struct twin_header *h, u32 blocks)
{
	if (all_zero((const u8 *)h, sizeof(*h)))
		return TWIN_NEW;
	if (!header_good(h))
		return TWIN_FOREIGN;
	if (!h->generation)
		return TWIN_EMPTY;
	if (h->blocks != blocks)
		return TWIN_OTHER;
	return data_good(h) ? TWIN_GOOD : TWIN_DAMAGED;
}

bool twin_good(const u8 *area, u32 blocks, unsigned slot, u64 *generation)
{
	const struct twin_header *h = (const void *)(area + slot * twin_slot(blocks));
	bool good = slot_look(h, blocks) == TWIN_GOOD;

	*generation = good ? h->generation : 0;
	return good;
}

// No slot is good.
static enum twin_state area_look(const u8 *area, u32 blocks, const enum twin_state state[2])
{
	const struct twin_header *h0 = (const void *)area,
				 *h1 = (const void *)(area + twin_slot(blocks));

	if (state[0] == TWIN_OTHER || state[1] == TWIN_OTHER)
		return TWIN_OTHER;
	if (state[1] == TWIN_EMPTY && state[0] != TWIN_DAMAGED)
		return TWIN_EMPTY; // the first generation was never finished
	if (all_zero(area, twin_area(blocks)))
		return TWIN_NEW;
	return is_ours(h0) || is_ours(h1) ? TWIN_DAMAGED : TWIN_FOREIGN;
}

enum twin_state twin_look(const u8 *area, u32 blocks, unsigned *slot, u64 *generation)
{
	enum twin_state state[2];
	u64 generations[2];

	for (unsigned i = 0; i < 2; i++) {
		const struct twin_header *h = (const void *)(area + i * twin_slot(blocks));

		state[i] = slot_look(h, blocks);
		generations[i] = state[i] == TWIN_GOOD ? h->generation : 0;
	}
	*slot = generations[1] > generations[0];
	*generation = generations[*slot];
	return *generation ? TWIN_GOOD : area_look(area, blocks, state);
}

void twin_sum(struct twin_header *h, u32 i, const u8 *block)
{
	h->block_crc[i] = crc32_add(0, block, TWIN_BLOCK);
}

void twin_seal(struct twin_header *h, u32 blocks, u64 generation)
{
	if (!generation)
		memset(h->block_crc, 0, sizeof(h->block_crc));
	memcpy(h->magic, magic, sizeof(magic));
	h->blocks = generation ? blocks : 0;
	h->generation = generation;
	h->crc = header_crc(h);
}
