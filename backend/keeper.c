// SPDX-License-Identifier: MIT
// Writes generations of a VM's variables. The file may be a disk that fails: it is told of once, and the next change tries again.
#include "backend/firmware.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/firmware.h"
#include "storage/twin_restore.h"

#define SETTLE_NS 100000000ull // without a change, before it is written
#define DELAYS    20u          // so often at most

_Static_assert(FIRMWARE_VARS_MAX <= TWIN_BLOCKS * TWIN_BLOCK, "a slot holds them");

struct keeper {
	struct host *host;
	struct mezz_firmware *area;
	u64 *bell;
	const u8 *data; // the chip, which changes while it is read
	int fd;
	u32 blocks;
	u8 *image; // of a slot: a header, and the store as the file has it, or will have
	struct twin_found at;
	bool whole; // the file has what the image has
	bool told;  // of a failure
	struct host_timer timer;
	unsigned delays;
	u64 seen; // changes, when the timer was last set
	void (*saved)(void *arg);
	void *arg;
};

static struct twin_header *header_of(struct keeper *k)
{
	return (void *)k->image;
}

// ---------------------------------------------------------------- writing

static int put(struct keeper *k, u64 at, const void *from, size_t n)
{
	ssize_t done = pwrite(k->fd, from, n, (off_t)at);

	if (done != (ssize_t)n)
		return done < 0 ? -errno : -EIO;
	return fdatasync(k->fd) ? -errno : 0;
}

// A device of zeros gets its first header where the second generation will go.
static int begin(struct keeper *k)
{
	static struct twin_header first;

	twin_seal(&first, k->blocks, 0);
	return put(k, twin_slot(k->blocks), &first, sizeof(first));
}

// The image becomes what the chip is now. Each block that differs is fetched once, and its checksum is the copy's.
static void take(struct keeper *k)
{
	for (u32 i = 0; i < k->blocks; i++) {
		u8 *block = k->image + (i + 1) * TWIN_BLOCK;

		if (memcmp(block, k->data + i * TWIN_BLOCK, TWIN_BLOCK) == 0)
			continue;
		memcpy(block, k->data + i * TWIN_BLOCK, TWIN_BLOCK);
		twin_sum(header_of(k), i, block);
		k->whole = false;
	}
}

static int generation_write(struct keeper *k)
{
	u64 other = k->at.slot ? 0 : twin_slot(k->blocks);
	int err = k->at.begun ? 0 : begin(k);

	k->at.begun |= !err;
	if (!err)
		err = put(k, other + TWIN_BLOCK, k->image + TWIN_BLOCK, k->blocks * TWIN_BLOCK);
	if (err)
		return err;
	twin_seal(header_of(k), k->blocks, k->at.generation + 1);
	err = put(k, other, k->image, TWIN_BLOCK);
	if (err)
		return err;
	k->at.generation++;
	k->at.slot ^= 1;
	k->whole = true;
	return 0;
}

// What changes meanwhile rings again.
static void save(struct keeper *k)
{
	u64 changes;
	int err = 0;

	atomic_store(k->bell, 0);
	changes = READ_ONCE(k->area->changes);
	host_timer_cancel(&k->timer);
	k->delays = 0;
	take(k);
	if (!k->whole)
		err = generation_write(k);
	if (err && !k->told)
		host_log(k->host, "its firmware's variables cannot be written: %s", strerror(-err));
	k->told |= err != 0;
	WRITE_ONCE(k->area->saved, changes); // as nobody waits for a disk that fails
	k->saved(k->arg);
}

static void settle(struct host_timer *t)
{
	struct keeper *k = container_of(t, struct keeper, timer);
	u64 changes = READ_ONCE(k->area->changes);

	if (changes != k->seen && k->delays++ < DELAYS) {
		k->seen = changes;
		host_timer_set(t, SETTLE_NS);
	} else {
		save(k);
	}
}

void keeper_changed(struct keeper *k)
{
	if (!k->timer.armed)
		host_timer_set(&k->timer, SETTLE_NS);
}

void keeper_end(struct keeper *k)
{
	if (READ_ONCE(k->area->saved) != READ_ONCE(k->area->changes) || !k->whole)
		save(k);
}

// ---------------------------------------------------------------- life

static const char *load(struct keeper *k, u8 *area, bool first)
{
	u32 bytes = twin_area(k->blocks);
	ssize_t n = pread(k->fd, area, bytes, 0);
	const char *why;

	if (n < 0)
		return "its variable store cannot be read";
	if ((u32)n < bytes)
		return "its variable store's device is too small, expected 2 MiB";
	why = twin_restore(area, k->blocks, firmware_vars_good,
		first ? (u8 *)k->area + MEZZ_FIRMWARE_VARS : NULL, &k->at);
	if (!why && k->at.generation)
		memcpy(k->image + TWIN_BLOCK, area + k->at.slot * twin_slot(k->blocks) + TWIN_BLOCK,
			k->blocks * TWIN_BLOCK);
	return why;
}

// The checksums are of the whole store; what the chip has and the file has not is written soon.
static void look(struct keeper *k, bool first)
{
	for (u32 i = 0; i < k->blocks; i++)
		twin_sum(header_of(k), i, k->image + (i + 1) * TWIN_BLOCK);
	k->whole = true;
	k->area->kept = 1;
	if (!first && READ_ONCE(k->area->saved) != READ_ONCE(k->area->changes))
		keeper_changed(k);
}

struct keeper *keeper_create(struct host *h, struct mezz_firmware *area, u64 *bell, int fd,
	bool first, void (*saved)(void *arg), void *arg, const char **why)
{
	u32 vars = READ_ONCE(area->vars);
	struct keeper *k = calloc(1, sizeof(*k));
	u8 *bytes = NULL;

	*why = "out of memory";
	if (!vars || vars % TWIN_BLOCK || vars > FIRMWARE_VARS_MAX)
		*why = "its firmware has no variables that a device could keep";
	else if (k)
		bytes = malloc(twin_area(vars / TWIN_BLOCK));
	if (bytes) {
		*k = (struct keeper){.host = h,
			.area = area,
			.bell = bell,
			.fd = fd,
			.saved = saved,
			.arg = arg};
		k->data = (u8 *)area + MEZZ_FIRMWARE_VARS;
		k->blocks = vars / TWIN_BLOCK;
		k->image = calloc(1, twin_slot(k->blocks));
		*why = k->image ? load(k, bytes, first) : *why;
	}
	free(bytes);
	if (*why) {
		if (k)
			free(k->image);
		free(k);
		return NULL;
	}
	host_timer_init(h, &k->timer, settle);
	look(k, first);
	return k;
}

void keeper_destroy(struct keeper *k)
{
	host_timer_destroy(&k->timer);
	close(k->fd);
	free(k->image);
	free(k);
}
