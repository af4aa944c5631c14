// SPDX-License-Identifier: MIT
// Disks of the machine as a VM's disks: the guest's memory goes to the device as it is.
//
// A request goes down in pieces of as many physical segments as fit, one piece at a time. What is in flight cannot be
// called back: a reset of the virtual disk, and the end of the VM, wait for it (the block layer's time-outs bound that).
#include "kernel/mono/disk.h"
#include "kernel/mono/guest_wait.h"

#include "devices/host_kernel/host_kernel.h"
#include "devices/virtio_blk.h"
#include "drivers/block.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/mono/reclaim.h"
#include "kernel/vm/vm.h"
#include "lib/string.h"

#define SEGMENTS 160u                      // of one piece
#define MOST     (64 * MiB / BLOCK_SECTOR) // of a DISCARD or ZERO

struct device;

// A request on its way; there are as many as the virtual disk has slots.
struct flight {
	struct block_request below;
	struct host_block_request *above;
	struct device *device;
	struct flight *next; // of the spare ones
	u64 done;            // bytes of it
	u64 piece;           // bytes that are below now
	u32 segment, offset; // where the next piece begins
	unsigned dma;        // what dma_begin said for the piece
	struct block_segment seg[SEGMENTS];
};

struct device {
	struct host_block block;
	struct block_device *dev;
	bool write;
	struct block_series series;
	u32 untold; // pieces that are done, and their series is not over
	struct host host;
	struct guest_wait wait;
	bool settled;              // nothing was written since the last flush of ours
	struct block_request last; // that flush
	bool settling;             // it is under way
	struct flight *spare;
	struct flight flight[VIRTIO_BLK_SLOTS];
};

static struct device *device_of(struct host_block *b)
{
	return container_of(b, struct device, block);
}

// ---------------------------------------------------------------- pieces

// Adds [at, at + len), to the last segment if it ends there. false: no room.
static bool segment_add(struct flight *f, hpa_t at, u32 len)
{
	u32 n = f->below.segment_count;

	if (n && f->seg[n - 1].at.v + f->seg[n - 1].len == at.v && f->seg[n - 1].len <= GiB) {
		f->seg[n - 1].len += len;
		return true;
	}
	if (n == SEGMENTS)
		return false;
	f->seg[f->below.segment_count++] = (struct block_segment){at, len};
	return true;
}

// Takes `bytes` off the end of what was gathered.
static void segments_trim(struct flight *f, u64 bytes)
{
	f->piece -= bytes;
	while (bytes) {
		struct block_segment *s = &f->seg[f->below.segment_count - 1];
		u32 n = (u32)MIN((u64)s->len, bytes);

		s->len -= n;
		bytes -= n;
		if (!s->len)
			f->below.segment_count--;
	}
}

// Goes `bytes` on in the guest's segments.
static void flight_advance(struct flight *f, u64 bytes)
{
	const struct host_block_request *r = f->above;

	while (bytes) {
		u32 left = r->segment[f->segment].len - f->offset;
		u32 n = (u32)MIN((u64)left, bytes);

		f->offset += n;
		bytes -= n;
		if (f->offset == r->segment[f->segment].len) {
			f->segment++;
			f->offset = 0;
		}
	}
}

// Gathers the next piece of a READ or WRITE in whole blocks.
static enum host_block_status flight_gather(struct flight *f)
{
	const struct host_block_request *r = f->above;
	struct vm *vm = f->device->block.vm;
	u64 most = MIN(r->count * BLOCK_SECTOR - f->done, MiB);
	u32 segment = f->segment, offset = f->offset;

	f->below.segment_count = 0;
	f->piece = 0;
	while (f->piece < most && segment < r->segments) {
		u64 addr = r->segment[segment].gpa + offset;
		u64 n = MIN((u64)(r->segment[segment].len - offset), PAGE_SIZE - addr % PAGE_SIZE);
		void *p;

		n = MIN(n, most - f->piece);
		if (n) {
			p = guest_ptr(vm, gpa(addr), n);
			if (!p)
				return HOST_BLOCK_NOT_RAM;
			if (!segment_add(f, va_to_hpa(p), (u32)n))
				break;
		}
		f->piece += n;
		offset += (u32)n;
		if (offset == r->segment[segment].len) {
			segment++;
			offset = 0;
		}
	}
	segments_trim(f, f->piece % f->device->block.info.block_size);
	return f->piece ? HOST_BLOCK_OK : HOST_BLOCK_ERROR;
}

// Sends the next piece down.
static enum host_block_status flight_send(struct flight *f)
{
	static const enum block_op ops[] = {
		[HOST_BLOCK_READ] = BLOCK_READ,
		[HOST_BLOCK_WRITE] = BLOCK_WRITE,
		[HOST_BLOCK_FLUSH] = BLOCK_FLUSH,
		[HOST_BLOCK_DISCARD] = BLOCK_DISCARD,
		[HOST_BLOCK_ZERO] = BLOCK_ZERO,
	};
	const struct host_block_request *r = f->above;
	struct vm *vm = f->device->block.vm;
	enum host_block_status status = HOST_BLOCK_OK;

	f->below.op = ops[r->op];
	f->below.sector = r->sector + f->done / BLOCK_SECTOR;
	f->below.segments = f->seg;
	if (r->op == HOST_BLOCK_READ || r->op == HOST_BLOCK_WRITE) {
		status = flight_gather(f);
	} else {
		f->below.segment_count = 0;
		f->piece = r->count * BLOCK_SECTOR;
	}
	f->below.count = f->piece / BLOCK_SECTOR;
	if (status != HOST_BLOCK_OK)
		return status;
	f->dma = dma_begin(vm);
	if (!block_submit(f->device->dev, &f->below))
		return HOST_BLOCK_OK;
	dma_end(vm, f->dma);
	return HOST_BLOCK_ERROR;
}

static void flight_end(struct flight *f, enum host_block_status status)
{
	struct host_block_request *r = f->above;

	f->next = f->device->spare;
	f->device->spare = f;
	guest_wait_end(&f->device->wait);
	r->done(r, status);
}

// From the block layer, with no lock held: the piece is done.
static void piece_done(struct block_request *below, int err)
{
	struct flight *f = container_of(below, struct flight, below);
	struct device *d = f->device;
	struct vm *vm = d->block.vm;
	enum host_block_status status = err ? HOST_BLOCK_ERROR : HOST_BLOCK_OK;
	bool over = true;

	spin_lock(&vm->lock);
	dma_end(vm, f->dma);
	f->done += f->piece;
	if (status == HOST_BLOCK_OK && f->done < f->above->count * BLOCK_SECTOR) {
		flight_advance(f, f->piece);
		status = flight_send(f);
		over = status != HOST_BLOCK_OK;
		block_commit(d->dev);
	}
	if (over)
		flight_end(f, status);
	d->untold++;
	spin_unlock(&vm->lock);
}

static void tell(struct guest_wait *w)
{
	w->telling = true;
	disk_idle(&container_of(w, struct device, wait)->block);
	w->telling = false;
}

// From the block layer, with no lock held: some pieces were done, and that is all for now.
static void series_over(struct block_series *s, u32 told)
{
	struct device *d = container_of(s, struct device, series);
	struct vm *vm = d->block.vm;

	spin_lock(&vm->lock);
	d->untold -= told;
	if (!guest_wait_hold(&d->wait))
		tell(&d->wait);
	if (READ_ONCE(vm->finishable)) // the reaper may have waited for this
		pcpu_post(this_pcpu(), WORK_REAP);
	spin_unlock(&vm->lock);
}

// ---------------------------------------------------------------- the store

static void submit(struct host_block *b, struct host_block_request *r)
{
	struct device *d = device_of(b);
	struct flight *f = d->spare;
	enum host_block_status status;

	if (!f) {
		r->done(r, HOST_BLOCK_ERROR); // more than the virtual disk has slots for
		return;
	}
	d->spare = f->next;
	guest_wait_begin(&d->wait);
	if (r->op != HOST_BLOCK_READ && r->op != HOST_BLOCK_FLUSH)
		d->settled = false;
	f->above = r;
	f->done = 0;
	f->segment = f->offset = 0;
	status = flight_send(f);
	if (status != HOST_BLOCK_OK)
		flight_end(f, status);
}

static void commit(struct host_block *b)
{
	block_commit(device_of(b)->dev);
	guest_wait_commit(&device_of(b)->wait);
}

static void cancel(struct host_block *b)
{
	(void)b; // the device has the guest's memory until it answers
}

// From the block layer, with no lock held. After an error there is nobody left to tell but the log.
static void settle_done(struct block_request *r, int err)
{
	struct device *d = container_of(r, struct device, last);
	struct vm *vm = d->block.vm;

	if (err)
		log_line("%s: %s: the last flush failed", vm->name, d->dev->name);
	spin_lock(&vm->lock);
	d->settling = false;
	d->settled = true;
	pcpu_post(this_pcpu(), WORK_REAP);
	spin_unlock(&vm->lock);
}

// A guest that is stopped, or forgot it, has not flushed what it wrote: that is done for it.
static bool settle(struct host_block *b)
{
	struct device *d = device_of(b);

	guest_wait_stop(&d->wait);
	if (d->untold)
		return false;
	if (d->settled || d->settling)
		return d->settled;
	d->last = (struct block_request){.op = BLOCK_FLUSH, .done = settle_done};
	if (block_submit(d->dev, &d->last)) {
		d->settled = true; // the disk is gone
		return true;
	}
	d->settling = true;
	block_commit(d->dev);
	return false;
}

static void destroy(struct host_block *b)
{
	struct device *d = device_of(b);

	guest_wait_destroy(&d->wait);
	block_close(d->dev, d->write);
	kmem_free(d, sizeof(*d));
}

static const struct disk_ops device_ops = {
	.submit = submit,
	.commit = commit,
	.cancel = cancel,
	.settle = settle,
	.destroy = destroy,
};

static void device_init(struct device *d, struct vm *vm, struct block_device *dev, bool write)
{
	const struct block_limits *l = &dev->disk->limits;
	size_t name = MIN(strlen(dev->name), sizeof(d->block.info.id));

	d->dev = dev;
	d->write = write;
	d->settled = true;
	d->series.over = series_over;
	d->host.vm = vm;
	guest_wait_init(&d->wait, vm, &d->host, GUEST_WAIT_NS, tell);
	d->block = (struct host_block){.ops = &device_ops,
		.vm = vm,
		.info = {
			.sectors = dev->sectors,
			.block_size = l->block_size,
			.physical_block = l->physical_block,
			.read_only = !write,
			.discard = write && l->max_discard,
			.zero = write && l->max_zero,
			.max_segments = VIRTIO_BLK_SEG_MAX,
			.max_sectors = MOST,
		}};
	memcpy(d->block.info.id, dev->name, name);
	for (unsigned i = 0; i < VIRTIO_BLK_SLOTS; i++) {
		struct flight *f = &d->flight[i];

		f->device = d;
		f->below.done = piece_done;
		f->below.series = &d->series;
		f->next = d->spare;
		d->spare = f;
	}
}

struct host_block *disk_device_create(struct vm *vm, const char *name, bool write, const char **why)
{
	struct block_device *dev = block_find(name);
	struct device *d;

	*why = dev ? block_open(dev, write) : "this machine has no such disk";
	if (*why)
		return NULL;
	d = kmem_alloc(sizeof(*d), vm->id);
	if (!d) {
		*why = "not enough free memory for its disks";
		block_close(dev, write);
		return NULL;
	}
	device_init(d, vm, dev, write);
	return &d->block;
}
