// SPDX-License-Identifier: MIT
// Writes generations of a variable store, one request at a time:
//
//	IDLE -> BEGIN -> BEGIN_FLUSH ->   a device of zeros gets its first header
//	IDLE -> DATA -> DATA_FLUSH -> HEADER -> HEADER_FLUSH -> IDLE
//
// An error at any step ends in IDLE; the next change tries again.
#include "kernel/mono/nvram_disk.h"

#include "devices/host_kernel/host_kernel.h"
#include "drivers/block.h"
#include "kernel/core/frame.h"
#include "kernel/vm/vm.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "storage/twin_restore.h"

#define SETTLE_NS  100000000ull // without a change, before it is written
#define DELAYS     20u          // so often at most
#define READ_BYTES (128 * KiB)

enum step { IDLE, BEGIN, BEGIN_FLUSH, DATA, DATA_FLUSH, HEADER, HEADER_FLUSH };

// All under vm->lock once it is attached.
struct nvram_disk {
	struct host host;
	struct block_device *device;
	u8 *data; // the store
	bool (*usable)(const u8 *data, u64 size);
	u32 blocks;
	u8 *image; // of a slot: a header, and the store as it was when the generation was begun
	u64 generation;
	unsigned slot; // of the newest generation
	bool begun;    // the device has a header of ours

	enum step step;
	struct block_request request;
	struct block_segment segment;
	bool dirty;                           // the store is not what the disk has, or will have
	bool failed;                          // the last try
	bool told;                            // of a failure
	u64 changed[(TWIN_BLOCKS + 63) / 64]; // blocks that are not what the image has
	struct host_timer timer;
	unsigned delays;
	u32 changes, seen;
};

static struct twin_header *header_of(struct nvram_disk *d)
{
	return (void *)d->image;
}

// ---------------------------------------------------------------- writing

static void step_done(struct block_request *r, int err);

static void end_step(struct nvram_disk *d, int err);

// Sends the request of the present step: a flush, or `bytes` of the image to a place in the device.
static void send(struct nvram_disk *d, u64 to, u32 from, u32 bytes)
{
	int err;

	d->segment = (struct block_segment){va_to_hpa(d->image + from), bytes};
	d->request = (struct block_request){
		.op = bytes ? BLOCK_WRITE : BLOCK_FLUSH,
		.sector = to / BLOCK_SECTOR,
		.count = bytes / BLOCK_SECTOR,
		.segments = &d->segment,
		.segment_count = bytes ? 1 : 0,
		.done = step_done,
	};
	err = block_submit(d->device, &d->request);
	if (err)
		end_step(d, err);
	else
		block_commit(d->device);
}

// The image becomes what the store is now.
static void take(struct nvram_disk *d)
{
	for (u32 i = 0; i < d->blocks; i++) {
		u8 *block = d->image + (i + 1) * TWIN_BLOCK;

		if (!(d->changed[i / 64] >> i % 64 & 1))
			continue;
		memcpy(block, d->data + i * TWIN_BLOCK, TWIN_BLOCK);
		twin_sum(header_of(d), i, block);
	}
	memset(d->changed, 0, sizeof(d->changed));
	d->dirty = false;
}

static void send_step(struct nvram_disk *d)
{
	u32 slot = twin_slot(d->blocks);
	u64 other = d->slot ? 0 : slot; // where the next generation goes

	switch (d->step) {
	case IDLE:
		break;
	case BEGIN: // where the second generation will go
		send(d, slot, 0, TWIN_BLOCK);
		break;
	case DATA:
		send(d, other + TWIN_BLOCK, TWIN_BLOCK, d->blocks * TWIN_BLOCK);
		break;
	case HEADER:
		twin_seal(header_of(d), d->blocks, d->generation + 1);
		send(d, other, 0, TWIN_BLOCK);
		break;
	case BEGIN_FLUSH:
	case DATA_FLUSH:
	case HEADER_FLUSH:
		send(d, 0, 0, 0);
		break;
	}
}

static void save(struct nvram_disk *d)
{
	host_timer_cancel(&d->timer);
	d->delays = 0;
	d->failed = false;
	if (d->begun) {
		take(d);
		d->step = DATA;
	} else {
		twin_seal(header_of(d), d->blocks, 0);
		memset(d->changed, 0xff, sizeof(d->changed)); // their checksums are gone
		d->step = BEGIN;
	}
	send_step(d);
}

static void fail(struct nvram_disk *d, int err)
{
	d->step = IDLE;
	d->dirty = d->failed = true;
	if (!d->told)
		log_vm(d->host.vm, "its firmware's variables cannot be written to %s (error %d)",
			d->device->name, -err);
	d->told = true;
}

static void arm(struct nvram_disk *d)
{
	if (!d->timer.armed && d->step == IDLE)
		host_timer_set(&d->timer, SETTLE_NS);
}

static void end_step(struct nvram_disk *d, int err)
{
	if (err) {
		fail(d, err);
		return;
	}
	switch (d->step) {
	case BEGIN_FLUSH:
		d->begun = true;
		take(d);
		d->step = DATA;
		break;
	case HEADER_FLUSH:
		d->generation++;
		d->slot ^= 1;
		d->step = IDLE;
		if (d->dirty)
			arm(d);
		return;
	default:
		d->step++;
	}
	send_step(d);
}

// From the block layer, with no lock held.
static void step_done(struct block_request *r, int err)
{
	struct nvram_disk *d = container_of(r, struct nvram_disk, request);
	struct vm *vm = d->host.vm;

	spin_lock(&vm->lock);
	end_step(d, err);
	if (READ_ONCE(vm->finishable)) // the reaper may have waited for this
		pcpu_post(this_pcpu(), WORK_REAP);
	spin_unlock(&vm->lock);
}

static void settle(struct host_timer *t)
{
	struct nvram_disk *d = container_of(t, struct nvram_disk, timer);

	if (d->step != IDLE || !d->dirty)
		return;
	if (d->changes != d->seen && d->delays < DELAYS) {
		d->seen = d->changes;
		d->delays++;
		arm(d);
		return;
	}
	save(d);
}

void nvram_disk_changed(struct nvram_disk *d, u32 offset, u32 bytes)
{
	for (u32 i = offset / TWIN_BLOCK; i <= (offset + bytes - 1) / TWIN_BLOCK; i++)
		d->changed[i / 64] |= BIT(i % 64);
	d->dirty = true;
	d->changes++;
	arm(d);
}

bool nvram_disk_quiet(struct nvram_disk *d)
{
	if (d->step == IDLE && d->dirty && !d->failed)
		save(d);
	return d->step == IDLE && (!d->dirty || d->failed);
}

// ---------------------------------------------------------------- life

static int read_area(const struct nvram_disk *d, u8 *area, u32 bytes)
{
	int err = 0;

	for (u32 at = 0; !err && at < bytes; at += READ_BYTES)
		err = block_read_now(d->device->disk, d->device->first + at / BLOCK_SECTOR,
			area + at, (u32)MIN(READ_BYTES, bytes - at));
	return err;
}

static const char *restore(struct nvram_disk *d, const u8 *area)
{
	struct twin_found found;
	const char *why = twin_restore(area, d->blocks, d->usable, d->data, &found);

	d->slot = found.slot;
	d->generation = found.generation;
	d->begun = found.begun;
	return why;
}

static const char *load(struct nvram_disk *d)
{
	u32 bytes = twin_area(d->blocks);
	const char *why = NULL;
	u8 *area;

	if (d->device->sectors < bytes / BLOCK_SECTOR)
		return "its variable store's device is too small, expected 2 MiB";
	d->image = kmem_alloc(twin_slot(d->blocks), FRAME_OWNER_KERNEL);
	area = kmem_alloc(bytes, FRAME_OWNER_KERNEL);
	if (!d->image || !area)
		why = "not enough free memory for its variable store";
	else if (read_area(d, area, bytes))
		why = "its variable store cannot be read";
	why = why ? why : restore(d, area);
	if (area)
		kmem_free(area, bytes);
	return why;
}

// The first generation, and the checksums, are of the whole store.
static void begin(struct nvram_disk *d)
{
	memset(d->changed, 0xff, sizeof(d->changed));
	take(d);
}

struct nvram_disk *nvram_disk_open(const char *device, u8 *data, u32 size,
	bool (*usable)(const u8 *data, u64 size), const char **why)
{
	struct block_device *dev = block_find(device);
	struct nvram_disk *d;

	*why = dev ? block_open(dev, true) : "this machine has no such disk for its variable store";
	if (*why)
		return NULL;
	d = kmem_alloc(sizeof(*d), FRAME_OWNER_KERNEL);
	if (!d) {
		*why = "not enough free memory for its variable store";
		block_close(dev, true);
		return NULL;
	}
	d->device = dev;
	d->data = data;
	d->usable = usable;
	d->blocks = size / TWIN_BLOCK;
	*why = load(d);
	if (*why) {
		nvram_disk_close(d);
		return NULL;
	}
	begin(d);
	return d;
}

void nvram_disk_close(struct nvram_disk *d)
{
	block_close(d->device, true);
	if (d->image)
		kmem_free(d->image, twin_slot(d->blocks));
	kmem_free(d, sizeof(*d));
}

void nvram_disk_attach(struct nvram_disk *d, struct vm *vm)
{
	if (d->host.vm)
		host_timer_destroy(&d->timer);
	d->host.vm = vm;
	d->told = false;
	if (vm)
		host_timer_init(&d->host, &d->timer, settle);
}
