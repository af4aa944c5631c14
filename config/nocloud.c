// SPDX-License-Identifier: MIT
// The NoCloud volume as ISO 9660: sixteen empty sectors, two descriptors, two path tables, one folder, its files.
#include "config/nocloud.h"

#include <stdlib.h>
#include <string.h>

#define SECTOR     2048u
#define SECTOR_PVD 16u // the primary volume descriptor; its end mark follows
#define SECTOR_LE  18u // path table, least significant byte first
#define SECTOR_BE  19u // path table, most significant byte first
#define SECTOR_DIR 20u // the root folder
#define SECTOR_MIN 21u // files

#define FILES         3u
#define FLAG_FOLDER   2u
#define PATH_TABLE    10u // bytes: the root alone
#define RECORD_HEAD   33u // bytes of a folder's record before the name
#define RECORD_FOLDER 34u // of the root, its name being one byte

// Offsets in the primary volume descriptor (ECMA-119, 8.4).
#define PVD_SYSTEM     8u
#define PVD_VOLUME     40u
#define PVD_SIZE       80u
#define PVD_SET_SIZE   120u
#define PVD_SEQUENCE   124u
#define PVD_BLOCK      128u
#define PVD_PATH_SIZE  132u
#define PVD_PATH_LE    140u
#define PVD_PATH_BE    148u
#define PVD_ROOT       156u
#define PVD_NAMES      190u // volume set, publisher, preparer, application, three files: spaces
#define PVD_DATES      813u // four of 17 bytes: not specified
#define PVD_DATE_BYTES 17u
#define PVD_VERSION    881u

struct entry {
	const char *name;
	struct nocloud_file file;
	uint32_t sector;
};

static void store_le(unsigned char *to, uint32_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		to[i] = (unsigned char)(value >> 8 * i);
}

static void store_be(unsigned char *to, uint32_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		to[bytes - 1 - i] = (unsigned char)(value >> 8 * i);
}

// A number in both orders, one behind the other (ECMA-119, 7.2.3 and 7.3.3).
static void store_both(unsigned char *to, uint32_t value, unsigned bytes)
{
	store_le(to, value, bytes);
	store_be(to + bytes, value, bytes);
}

// A folder's record of a file (9.1), without dates; its length, which is even.
static unsigned put_record(unsigned char *to, const char *name, size_t length, uint32_t sector,
	uint32_t size, unsigned flags)
{
	unsigned record = (unsigned)(RECORD_HEAD + length + 1) & ~1u;

	to[0] = (unsigned char)record;
	store_both(to + 2, sector, 4);
	store_both(to + 10, size, 4);
	to[25] = (unsigned char)flags;
	store_both(to + 28, 1, 2);
	to[32] = (unsigned char)length;
	memcpy(to + RECORD_HEAD, name, length);
	return record;
}

static void put_root(unsigned char *to, const char *name)
{
	put_record(to, name, 1, SECTOR_DIR, SECTOR, FLAG_FOLDER);
}

static void put_folder(unsigned char *to, const struct entry *entries)
{
	unsigned at = 2 * RECORD_FOLDER;

	put_root(to, "\0");
	put_root(to + RECORD_FOLDER, "\1");
	for (unsigned i = 0; i < FILES; i++) {
		const struct entry *e = &entries[i];

		if (e->file.data)
			at += put_record(to + at, e->name, strlen(e->name), e->sector,
				(uint32_t)e->file.size, 0);
	}
}

static void put_descriptor(unsigned char *to, unsigned type)
{
	to[0] = (unsigned char)type;
	memcpy(to + 1, "CD001", 5);
	to[6] = 1;
}

static void put_volume(unsigned char *to, uint32_t sectors)
{
	put_descriptor(to, 1);
	memset(to + PVD_SYSTEM, ' ', PVD_SIZE - 8 - PVD_SYSTEM);
	memcpy(to + PVD_VOLUME, "cidata", 6);
	store_both(to + PVD_SIZE, sectors, 4);
	store_both(to + PVD_SET_SIZE, 1, 2);
	store_both(to + PVD_SEQUENCE, 1, 2);
	store_both(to + PVD_BLOCK, SECTOR, 2);
	store_both(to + PVD_PATH_SIZE, PATH_TABLE, 4);
	store_le(to + PVD_PATH_LE, SECTOR_LE, 4);
	store_be(to + PVD_PATH_BE, SECTOR_BE, 4);
	put_root(to + PVD_ROOT, "\0");
	memset(to + PVD_NAMES, ' ', PVD_DATES - PVD_NAMES);
	for (unsigned i = 0; i < 4; i++)
		memset(to + PVD_DATES + i * PVD_DATE_BYTES, '0', PVD_DATE_BYTES - 1);
	to[PVD_VERSION] = 1;
}

static void put_path_tables(unsigned char *le, unsigned char *be)
{
	le[0] = be[0] = 1; // length of the root's name
	store_le(le + 2, SECTOR_DIR, 4);
	store_be(be + 2, SECTOR_DIR, 4);
	store_le(le + 6, 1, 2);
	store_be(be + 6, 1, 2);
}

static uint32_t sectors_of(size_t size)
{
	return (uint32_t)((size + SECTOR - 1) / SECTOR);
}

void nocloud_make(struct text *image, const char *name, struct nocloud_file user_data,
	struct nocloud_file network_config)
{
	char *meta = print_text("instance-id: %s\nlocal-hostname: %s\n", name, name);
	struct entry entries[FILES] = {
		// sorted, as 9.3 wants it
		{"meta-data", {meta, strlen(meta)}, 0},
		{"network-config", network_config, 0},
		{"user-data", user_data, 0},
	};
	uint32_t sectors = SECTOR_MIN;
	unsigned char *bytes;

	for (unsigned i = 0; i < FILES; i++) {
		entries[i].sector = sectors;
		sectors += entries[i].file.data ? sectors_of(entries[i].file.size) : 0;
	}
	bytes = allocate((size_t)sectors * SECTOR);
	put_volume(bytes + SECTOR_PVD * SECTOR, sectors);
	put_descriptor(bytes + (SECTOR_PVD + 1) * SECTOR, 255);
	put_path_tables(bytes + SECTOR_LE * SECTOR, bytes + SECTOR_BE * SECTOR);
	put_folder(bytes + SECTOR_DIR * SECTOR, entries);
	for (unsigned i = 0; i < FILES; i++)
		if (entries[i].file.data)
			memcpy(bytes + (size_t)entries[i].sector * SECTOR, entries[i].file.data,
				entries[i].file.size);
	text_add(image, bytes, (size_t)sectors * SECTOR);
	free(bytes);
	free(meta);
}
