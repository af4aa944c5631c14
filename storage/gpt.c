// SPDX-License-Identifier: MIT
// Reads a GUID partition table (UEFI 2.10, 5.3.2 and 5.3.3).
#include "storage/gpt.h"
#include "lib/format.h"
#include "lib/string.h"
#include "storage/crc32.h"

#define HEADER_MIN    92u
#define ENTRY_MIN     128u
#define ENTRY_MAX     1024u // of an entry's bytes; a power of two times 128
#define ENTRIES_MAX   1024u
#define MBR_TABLE     446u
#define MBR_SIGNATURE 510u
#define MBR_GPT       0xEE

// What of a header is used, after its checks.
struct header {
	u64 other, first_usable, last_usable, entries;
	u32 entry_count, entry_size, entries_crc;
};

static u32 get32(const u8 *p)
{
	u32 v;

	memcpy(&v, p, 4);
	return v;
}

static u64 get64(const u8 *p)
{
	u64 v;

	memcpy(&v, p, 8);
	return v;
}

static bool crc_is_good(u8 *header, u32 size)
{
	u32 crc = get32(header + 16);

	memset(header + 16, 0, 4);
	return crc32_add(0, header, size) == crc;
}

static const char *check_layout(const struct gpt *g, const struct header *h)
{
	u64 blocks;

	if (h->entry_size < ENTRY_MIN || h->entry_size > ENTRY_MAX ||
		(h->entry_size & (h->entry_size - 1)) || h->entry_count > ENTRIES_MAX)
		return "its entries have a strange size or number";
	blocks = ((u64)h->entry_count * h->entry_size + g->block_size - 1) / g->block_size;
	if (h->first_usable < 2 || h->first_usable > h->last_usable || h->last_usable >= g->blocks)
		return "its usable blocks do not lie within the disk";
	if (h->entries < 2 || h->entries >= g->blocks || blocks > g->blocks - h->entries)
		return "its entries do not lie within the disk";
	return NULL;
}

// NULL: the header at this block is good.
static const char *read_header(struct gpt *g, u64 at, struct header *h)
{
	u8 *b = g->block;
	u32 size;

	if (g->read(g->arg, at, b))
		return "its header cannot be read";
	if (memcmp(b, "EFI PART", 8) != 0)
		return "there is no header";
	size = get32(b + 12);
	if (size < HEADER_MIN || size > g->block_size || !crc_is_good(b, size))
		return "the header's checksum is wrong";
	if (get64(b + 24) != at)
		return "the header belongs to another place";
	*h = (struct header){.other = get64(b + 32),
		.first_usable = get64(b + 40),
		.last_usable = get64(b + 48),
		.entries = get64(b + 72),
		.entry_count = get32(b + 80),
		.entry_size = get32(b + 84),
		.entries_crc = get32(b + 88)};
	return check_layout(g, h);
}

static void copy_name(char *to, const u8 *from)
{
	for (unsigned i = 0; i < 36; i++) {
		unsigned c = from[2 * i] | (unsigned)from[2 * i + 1] << 8;

		if (!c)
			break;
		*to++ = c >= ' ' && c < 127 && c != '"' ? (char)c : '?';
	}
	*to = 0;
}

static const char *add(struct gpt *g, const struct header *h, unsigned number, const u8 *entry)
{
	static const u8 unused[16];
	struct gpt_partition *p = &g->partitions[g->count];
	u64 first = get64(entry + 32), last = get64(entry + 40);

	if (memcmp(entry, unused, 16) == 0)
		return NULL;
	if (first < h->first_usable || first > last || last > h->last_usable)
		return "a partition does not lie within the usable blocks";
	for (unsigned i = 0; i < g->count; i++)
		if (first <= g->partitions[i].last && g->partitions[i].first <= last)
			return "two partitions overlap";
	if (g->count == GPT_PARTITIONS)
		return NULL;
	*p = (struct gpt_partition){.first = first, .last = last, .number = number};
	memcpy(p->type, entry, 16);
	memcpy(p->uuid, entry + 16, 16);
	copy_name(p->name, entry + 56);
	g->count++;
	return NULL;
}

// An entry's size divides the block's, or is a multiple of it; then what lies in its first block is enough.
static const char *read_entries(struct gpt *g, const struct header *h)
{
	u64 left = (u64)h->entry_count * h->entry_size;
	u32 crc = 0, at = 0;
	const char *why = NULL;

	g->count = 0;
	for (u64 block = h->entries; left; block++) {
		u32 n = (u32)MIN(left, g->block_size);

		if (g->read(g->arg, block, g->block))
			return "its entries cannot be read";
		crc = crc32_add(crc, g->block, n);
		for (u32 i = 0; i < n && !why; i += ENTRY_MIN, at += ENTRY_MIN)
			if (at % h->entry_size == 0)
				why = add(g, h, at / h->entry_size + 1, g->block + i);
		left -= n;
	}
	return crc == h->entries_crc ? why : "the checksum of its entries is wrong";
}

static const char *read_table(struct gpt *g, u64 at, u64 *other)
{
	struct header h;
	const char *why = read_header(g, at, &h);

	if (why)
		return why;
	*other = h.other;
	return read_entries(g, &h);
}

// Any of the four entries may be the protective one, as hybrid tables have it.
static const char *read_mbr(struct gpt *g)
{
	if (g->read(g->arg, 0, g->block))
		return "the first block cannot be read";
	if (g->block[MBR_SIGNATURE] != 0x55 || g->block[MBR_SIGNATURE + 1] != 0xAA)
		return "there is no partition table";
	for (unsigned i = 0; i < 4; i++)
		if (g->block[MBR_TABLE + 16 * i + 4] == MBR_GPT)
			return NULL;
	return "there is no GUID partition table (an MBR is not used)";
}

bool gpt_read(struct gpt *g, const char **why)
{
	u64 other = 0, unused;
	const char *second;

	g->count = 0;
	*why = g->blocks < 6 ? "the disk is too small" : read_mbr(g);
	if (*why)
		return false;
	*why = read_table(g, 1, &other);
	if (!*why)
		return true;
	if (other > 1 && other < g->blocks && other != g->blocks - 1 &&
		!read_table(g, other, &unused))
		return true;
	second = read_table(g, g->blocks - 1, &unused);
	if (second)
		g->count = 0;
	return !second;
}

// The first three parts are little-endian numbers, the others bytes (UEFI 2.10, appendix A).
void gpt_uuid_text(const u8 u[16], char text[37])
{
	format(text, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		u[3], u[2], u[1], u[0], u[5], u[4], u[7], u[6], u[8], u[9], u[10], u[11], u[12],
		u[13], u[14], u[15]);
}
