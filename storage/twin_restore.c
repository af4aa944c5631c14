// SPDX-License-Identifier: MIT
// Chooses between the copies of a variable store.
#include "storage/twin_restore.h"

#include "lib/string.h"

static const u8 *data_at(const u8 *area, u32 blocks, unsigned slot)
{
	return area + slot * twin_slot(blocks) + TWIN_BLOCK;
}

// The newest was taken while the guest rewrote it all, perhaps, and then the power went: the one before is whole.
static void fall_back(const u8 *area, u32 blocks, bool (*usable)(const u8 *data, u64 size),
	struct twin_found *found)
{
	unsigned other = found->slot ^ 1;
	u64 generation, size = blocks * TWIN_BLOCK;

	if (!usable(data_at(area, blocks, found->slot), size) &&
		twin_good(area, blocks, other, &generation) &&
		usable(data_at(area, blocks, other), size))
		found->slot = other;
}

const char *twin_restore(const u8 *area, u32 blocks, bool (*usable)(const u8 *data, u64 size),
	u8 *data, struct twin_found *found)
{
	enum twin_state state = twin_look(area, blocks, &found->slot, &found->generation);

	found->begun = state == TWIN_GOOD || state == TWIN_EMPTY;
	switch (state) {
	case TWIN_GOOD:
		fall_back(area, blocks, usable, found);
		if (data)
			memcpy(data, data_at(area, blocks, found->slot), blocks * TWIN_BLOCK);
		return NULL;
	case TWIN_EMPTY:
	case TWIN_NEW:
		found->slot = 1;
		return NULL;
	case TWIN_OTHER:
		return "its variable store is that of other firmware";
	case TWIN_DAMAGED:
		return "its variable store is damaged";
	case TWIN_FOREIGN:
		break;
	}
	return "its variable store's device holds something else, expected zeros at first";
}
