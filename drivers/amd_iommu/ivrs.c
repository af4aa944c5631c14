// SPDX-License-Identifier: MIT
// Reads ACPI's table of AMD IOMMUs: a list of blocks, each of an IOMMU or of memory, an IOMMU's with a list of entries for
// the functions behind it.
#include "drivers/amd_iommu/ivrs.h"
#include "lib/string.h"

#define BLOCKS_AT  48u // behind the table's header
#define BLOCKS_MAX 128u

enum { // kinds of blocks
	IVHD_10 = 0x10,
	IVHD_11 = 0x11,
	IVHD_40 = 0x40,
	IVMD_ALL = 0x20,
	IVMD_RANGE = 0x22,
};

enum { // kinds of entries
	ENTRY_ALL = 1,
	ENTRY_SELECT = 2,
	ENTRY_START = 3,
	ENTRY_END = 4,
	ENTRY_ALIAS_SELECT = 0x42,
	ENTRY_ALIAS_START = 0x43,
	ENTRY_EXTENDED_SELECT = 0x46,
	ENTRY_EXTENDED_START = 0x47,
	ENTRY_CHIP = 0x48,
	ENTRY_NAMED = 0xF0,
};

// A part of the table; what lies outside of it reads as 0.
struct part {
	const u8 *bytes;
	u32 size;
};

static u64 get(const struct part *p, u32 offset, u32 size)
{
	u64 v = 0;

	if (offset <= p->size && size <= p->size - offset)
		memcpy(&v, p->bytes + offset, size);
	return v;
}

// The block at *at, and *at behind it; false: there is none, or its length makes no sense.
static bool next_block(const struct part *table, u32 *at, struct part *out)
{
	u32 size = (u32)get(table, *at + 2, 2);

	if (*at >= table->size || size < 4 || size > table->size - *at)
		return false;
	*out = (struct part){table->bytes + *at, size};
	*at += size;
	return true;
}

// How many bytes come before the entries; 0: the block describes no IOMMU that we know of.
static u32 header_size(const struct part *b)
{
	u32 kind = (u32)get(b, 0, 1), size = kind == IVHD_10 ? 24 : 40;

	return (kind == IVHD_10 || kind == IVHD_11 || kind == IVHD_40) && size <= b->size ? size
											  : 0;
}

// An IOMMU may be described by several blocks: the one of the highest kind counts, the first one of several.
static bool is_best(const struct part *table, const struct part *block)
{
	struct part other;
	u32 at = BLOCKS_AT;

	for (u32 i = 0; i < BLOCKS_MAX && next_block(table, &at, &other); i++) {
		bool same = header_size(&other) && get(&other, 4, 2) == get(block, 4, 2) &&
			    get(&other, 16, 2) == get(block, 16, 2);

		if (same && (get(&other, 0, 1) > get(block, 0, 1) ||
				    (get(&other, 0, 1) == get(block, 0, 1) &&
					    other.bytes < block->bytes)))
			return false;
	}
	return true;
}

static u32 entry_size(const struct part *b, u32 at)
{
	u32 kind = (u32)get(b, at, 1);

	if (kind == ENTRY_NAMED)
		return 22 + (u32)get(b, at + 21, 1);
	return 4u << (kind >> 6);
}

static void add_range(struct ivrs *out, struct ivrs_range r)
{
	if (r.first > r.last)
		return;
	if (out->range_count == IVRS_RANGES) {
		out->left_out++;
		return;
	}
	r.iommu = (u8)(out->iommu_count - 1);
	out->ranges[out->range_count++] = r;
}

static void add_chip(struct ivrs *out, u16 address, bool ioapic)
{
	if (out->chip_count == IVRS_CHIPS) {
		out->left_out++;
		return;
	}
	out->chips[out->chip_count++] = address;
	out->ioapic_count += ioapic;
}

// One entry; `start` keeps a range that has begun.
static void read_entry(struct ivrs *out, const struct part *b, u32 at, struct ivrs_range *start)
{
	u16 id = (u16)get(b, at + 1, 2), alias = (u16)get(b, at + 5, 2);
	u32 kind = (u32)get(b, at, 1);

	switch (kind) {
	case ENTRY_ALL:
		add_range(out, (struct ivrs_range){.last = 0xFFFF});
		break;
	case ENTRY_SELECT:
	case ENTRY_EXTENDED_SELECT:
		add_range(out, (struct ivrs_range){.first = id, .last = id});
		break;
	case ENTRY_ALIAS_SELECT:
		add_range(out, (struct ivrs_range){id, id, alias, true, 0});
		break;
	case ENTRY_START:
	case ENTRY_EXTENDED_START:
		*start = (struct ivrs_range){.first = id};
		break;
	case ENTRY_ALIAS_START:
		*start = (struct ivrs_range){id, 0, alias, true, 0};
		break;
	case ENTRY_END:
		start->last = id;
		add_range(out, *start);
		*start = (struct ivrs_range){.first = 0xFFFF};
		break;
	case ENTRY_CHIP:
		add_chip(out, alias, get(b, at + 7, 1) == 1);
		break;
	default:
		break;
	}
}

static void read_iommu(struct ivrs *out, const struct part *b, u32 header)
{
	struct ivrs_range start = {.first = 0xFFFF};
	u32 size;

	if (get(b, 16, 2) != 0 || out->iommu_count == IVRS_IOMMUS) {
		out->left_out++;
		return;
	}
	out->iommus[out->iommu_count++] = (struct ivrs_iommu){
		.address = (u16)get(b, 4, 2),
		.capability = (u16)get(b, 6, 2),
		.base = hpa(get(b, 8, 8)),
		.flags = (u8)get(b, 1, 1),
	};
	for (u32 at = header; at < b->size; at += size) {
		size = entry_size(b, at);
		if (size > b->size - at)
			return;
		read_entry(out, b, at, &start);
	}
}

void ivrs_read(struct ivrs *out, const u8 *bytes, u32 size)
{
	const struct part table = {bytes, size};
	struct part block;
	u32 at = BLOCKS_AT;

	memset(out, 0, sizeof(*out));
	for (u32 i = 0; i < BLOCKS_MAX && next_block(&table, &at, &block); i++) {
		u32 header = header_size(&block), kind = (u32)get(&block, 0, 1);

		if (header && is_best(&table, &block))
			read_iommu(out, &block, header);
		else if (kind >= IVMD_ALL && kind <= IVMD_RANGE)
			out->wishes++;
	}
}

// Later entries are about what is special among earlier ones.
const struct ivrs_range *ivrs_find(const struct ivrs *ivrs, u16 address)
{
	for (u32 i = ivrs->range_count; i-- > 0;)
		if (address >= ivrs->ranges[i].first && address <= ivrs->ranges[i].last)
			return &ivrs->ranges[i];
	return NULL;
}
