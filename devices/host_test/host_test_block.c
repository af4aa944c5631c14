// SPDX-License-Identifier: MIT
// The block store of unit tests and fuzzers; it checks the device's side of the contract too.
#include "devices/host_test/host_test_block.h"

#include <stdlib.h>
#include <string.h>

#define SECTOR 512u

struct host_block *host_test_block_create(struct host *h, u64 sectors)
{
	struct host_block *b = calloc(1, sizeof(*b));

	if (!b || !(b->data = calloc(sectors, SECTOR)) || !(b->safe = calloc(sectors, SECTOR)))
		abort();
	b->host = h;
	b->info = (struct host_block_info){
		.sectors = sectors,
		.block_size = SECTOR,
		.physical_block = 4096,
		.discard = true,
		.zero = true,
		.max_segments = 126,
		.max_sectors = 64,
		.id = "test disk",
	};
	return b;
}

void host_test_block_clear(struct host_block *b)
{
	if (b->queued)
		abort();
	if (b->written) {
		memset(b->data, 0, b->info.sectors * SECTOR);
		memset(b->safe, 0, b->info.sectors * SECTOR);
	}
	b->written = b->delay = b->cancels = false;
	b->fails = b->records = b->done = b->commits = 0;
}

void host_test_block_destroy(struct host_block *b)
{
	free(b->data);
	free(b->safe);
	free(b);
}

const struct host_block_info *host_block_info(const struct host_block *b)
{
	return &b->info;
}

void host_block_on_idle(struct host_block *b, void (*idle)(void *device), void *device)
{
	b->idle = idle;
	b->device = device;
}

static enum host_block_status transfer(struct host_block *b, struct host_block_request *r)
{
	u8 *at = b->data + r->sector * SECTOR;
	u64 bytes = 0;

	for (u32 i = 0; i < r->segments; i++)
		bytes += r->segment[i].len;
	if (bytes != r->count * SECTOR)
		abort(); // the device's fault
	for (u32 i = 0; i < r->segments; i++) {
		const struct host_segment *s = &r->segment[i];
		bool ok = r->op == HOST_BLOCK_READ ? host_guest_write(b->host, s->gpa, at, s->len)
						   : host_guest_read(b->host, s->gpa, at, s->len);

		if (!ok)
			return HOST_BLOCK_NOT_RAM;
		at += s->len;
	}
	return HOST_BLOCK_OK;
}

static enum host_block_status perform(struct host_block *b, struct host_block_request *r)
{
	if (b->fails) {
		enum host_block_status s = b->fail[0];

		b->fails--;
		memmove(b->fail, b->fail + 1, sizeof(b->fail) - sizeof(b->fail[0]));
		return s;
	}
	if (r->sector > b->info.sectors || r->count > b->info.sectors - r->sector ||
		(b->info.read_only && r->op != HOST_BLOCK_READ && r->op != HOST_BLOCK_FLUSH))
		abort(); // the device's fault
	b->written |= r->op != HOST_BLOCK_READ;
	switch (r->op) {
	case HOST_BLOCK_READ:
	case HOST_BLOCK_WRITE:
		return transfer(b, r);
	case HOST_BLOCK_FLUSH:
		memcpy(b->safe, b->data, b->info.sectors * SECTOR);
		return HOST_BLOCK_OK;
	case HOST_BLOCK_DISCARD:
		memset(b->data + r->sector * SECTOR, 0xdd, r->count * SECTOR);
		return HOST_BLOCK_OK;
	case HOST_BLOCK_ZERO:
		memset(b->data + r->sector * SECTOR, 0, r->count * SECTOR);
		return HOST_BLOCK_OK;
	}
	abort();
}

void host_block_submit(struct host_block *b, struct host_block_request *r)
{
	if (b->records < HOST_TEST_BLOCK_RECORD) {
		b->record[b->records].op = r->op;
		b->record[b->records].sector = r->sector;
		b->record[b->records].count = r->count;
		b->record[b->records].segments = r->segments;
	}
	b->records++;
	if (b->delay) {
		if (b->queued == HOST_TEST_BLOCK_QUEUE)
			abort(); // more than the device has slots for
		b->queue[b->queued++] = r;
		return;
	}
	b->done++;
	r->done(r, perform(b, r));
}

void host_block_commit(struct host_block *b)
{
	b->commits++;
}

static void finish(struct host_block *b, unsigned i, bool cancelled)
{
	struct host_block_request *r = b->queue[i];

	b->queued--;
	for (unsigned n = i; n < b->queued; n++)
		b->queue[n] = b->queue[n + 1];
	b->done++;
	r->done(r, cancelled ? HOST_BLOCK_ERROR : perform(b, r));
}

void host_block_cancel(struct host_block *b)
{
	while (b->cancels && b->queued)
		finish(b, 0, true);
}

void host_test_block_finish(struct host_block *b, unsigned i)
{
	finish(b, i, false);
	b->idle(b->device);
}

void host_test_block_finish_all(struct host_block *b)
{
	for (unsigned n = b->queued; n > 0; n--)
		finish(b, 0, false);
	b->idle(b->device);
}
