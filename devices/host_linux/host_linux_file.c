// SPDX-License-Identifier: MIT
// What a file or a block device is as a store: size, blocks, alignment, what it can do.
#include "devices/host_linux/host_linux_block.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define SECTOR       512u
#define MAX_SEGMENTS 126u
#define MAX_CLEAR    (64 * MiB / SECTOR) // sectors of a DISCARD or ZERO

// Does the device below give up sectors? The queue's limits are those of the whole disk.
static bool device_discards(dev_t dev)
{
	static const char *const paths[] = {"/sys/dev/block/%u:%u/queue/discard_max_bytes",
		"/sys/dev/block/%u:%u/../queue/discard_max_bytes"};
	unsigned long long most = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
		char path[96];
		FILE *f;

		snprintf(path, sizeof(path), i ? paths[1] : paths[0], major(dev), minor(dev));
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fscanf(f, "%llu", &most) != 1)
			most = 0;
		fclose(f);
		break;
	}
	return most;
}

static bool look_at_device(struct host_block *b, dev_t dev, bool write)
{
	unsigned physical = 0;
	int logical = 0;
	u64 bytes = 0;

	if (ioctl(b->fd, BLKGETSIZE64, &bytes) || ioctl(b->fd, BLKSSZGET, &logical) ||
		ioctl(b->fd, BLKPBSZGET, &physical))
		return false;
	b->is_device = true;
	b->info.sectors = bytes / SECTOR;
	b->info.block_size = (u32)logical;
	b->info.physical_block = physical;
	b->info.discard = write && device_discards(dev);
	b->align = b->block = (u32)logical;
	return true;
}

static void look_at_file(struct host_block *b, u64 size, bool write)
{
	b->info.sectors = size / SECTOR;
	b->info.block_size = SECTOR;
	b->info.physical_block = 4096;
	b->info.discard = write;
	b->way[0] = 1;
}

static const char *look(struct host_block *b, bool write)
{
	struct stat st;

	if (fstat(b->fd, &st))
		return "it cannot be looked at";
	if (S_ISBLK(st.st_mode)) {
		if (!look_at_device(b, st.st_rdev, write))
			return "its size cannot be found out";
	} else if (S_ISREG(st.st_mode)) {
		look_at_file(b, (u64)st.st_size, write);
	} else {
		return "a file or a block device was expected";
	}
	if (!b->info.sectors || (!b->is_device && st.st_size % SECTOR))
		return "whole sectors of 512 bytes were expected";
	return NULL;
}

// Past the page cache, if the file's rules are known, and no stricter for offsets than the sectors that the guest sees.
static void go_direct(struct host_block *b)
{
	struct statx x = {0};
	bool told =
		!statx(b->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &x) && x.stx_mask & STATX_DIOALIGN;
	int flags = fcntl(b->fd, F_GETFL);

	if (told && x.stx_dio_mem_align && x.stx_dio_offset_align) {
		b->align = x.stx_dio_mem_align;
		b->block = x.stx_dio_offset_align;
	}
	b->direct = b->align && b->block && b->block <= b->info.block_size &&
		    PAGE_SIZE % b->align == 0 && flags >= 0 &&
		    !fcntl(b->fd, F_SETFL, flags | O_DIRECT);
}

struct host_block *host_block_create(
	struct host *h, struct host_ring *r, int fd, bool write, const char *id, const char **why)
{
	struct host_block *b = calloc(1, sizeof(*b));

	*why = "out of memory";
	if (!b)
		return NULL;
	*b = (struct host_block){.host = h, .ring = r, .fd = fd, .dirty = write};
	*why = look(b, write);
	if (*why) {
		free(b);
		return NULL;
	}
	go_direct(b);
	b->info.read_only = !write;
	b->info.zero = write;
	b->info.max_segments = MAX_SEGMENTS;
	b->info.max_sectors = MAX_CLEAR;
	memcpy(b->info.id, id, strnlen(id, sizeof(b->info.id)));
	b->next = r->blocks;
	r->blocks = b;
	return b;
}

void host_block_destroy(struct host_block *b)
{
	struct host_block **from = &b->ring->blocks;

	while (*from != b)
		from = &(*from)->next;
	*from = b->next;
	close(b->fd);
	free(b);
}
