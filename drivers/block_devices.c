// SPDX-License-Identifier: MIT
// The disks and partitions of the machine: who they are, and who has them open.
#include "drivers/block.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "storage/gpt.h"

#define DEVICES_MAX  64
#define READ_WAIT_NS 60000000000ull // longer than the layer lets any request live

static struct block_device devices[DEVICES_MAX];
static u32 count;
static struct spinlock lock = SPINLOCK(LOCK_BLOCK); // `written` of all devices

struct block_device *block_at(u32 i)
{
	return i < count ? &devices[i] : NULL;
}

// A whole disk, by a serial number that no other one has.
static struct block_device *find_serial(const char *serial)
{
	struct block_device *found = NULL;

	for (u32 i = 0; i < count; i++) {
		if (*devices[i].partuuid || strcmp(devices[i].disk->id, serial) != 0)
			continue;
		if (found)
			return NULL;
		found = &devices[i];
	}
	return found;
}

// PARTUUIDs are compared as they are written, in lower case.
struct block_device *block_find(const char *name)
{
	for (u32 i = 0; i < count; i++)
		if (strcmp(devices[i].name, name) == 0 ||
			(*devices[i].partuuid && strcmp(devices[i].partuuid, name) == 0))
			return &devices[i];
	return find_serial(name);
}

static bool overlap(const struct block_device *a, const struct block_device *b)
{
	return a->disk == b->disk && a->first < b->first + b->sectors &&
	       b->first < a->first + a->sectors;
}

static const char *claim(struct block_device *d)
{
	if (d->disk->limits.read_only)
		return "the disk can only be read";
	for (u32 i = 0; i < count; i++)
		if (devices[i].written && overlap(&devices[i], d))
			return &devices[i] == d ? "it is open for writing already"
						: "a disk or partition that it shares sectors with "
						  "is open for writing";
	d->written = true;
	return NULL;
}

const char *block_open(struct block_device *d, bool write)
{
	const char *why;

	if (!write)
		return NULL;
	spin_lock(&lock);
	why = claim(d);
	spin_unlock(&lock);
	return why;
}

void block_close(struct block_device *d, bool write)
{
	if (!write)
		return;
	spin_lock(&lock);
	ASSERT(d->written);
	d->written = false;
	spin_unlock(&lock);
}

// ---------------------------------------------------------------- reading at start

struct wait {
	struct block_request request;
	struct block_segment segment;
	u64 over; // atomic
	int err;
};

static void wait_done(struct block_request *r, int err)
{
	struct wait *w = container_of(r, struct wait, request);

	w->err = err;
	atomic_store(&w->over, 1);
}

// The layer ends every request, in the worst case by a reset, for which timers must run. One that is not
// ended even so keeps its memory for good.
int block_read_now(struct block_disk *disk, u64 sector, void *to, u32 bytes)
{
	struct block_device whole = {.disk = disk, .sectors = disk->sectors};
	size_t size = PAGE_SIZE + bytes; // the request has a page of its own
	struct wait *w = kmem_alloc(size, FRAME_OWNER_KERNEL);
	u64 start = time_now();
	u8 *buffer;
	int err;

	if (!w)
		return -ENOMEM;
	buffer = (u8 *)w + PAGE_SIZE;
	w->segment = (struct block_segment){va_to_hpa(buffer), bytes};
	w->request = (struct block_request){.op = BLOCK_READ,
		.sector = sector,
		.count = bytes / BLOCK_SECTOR,
		.segments = &w->segment,
		.segment_count = 1,
		.done = wait_done};
	err = block_submit(&whole, &w->request);
	block_commit(&whole);
	while (!err && !atomic_load(&w->over)) {
		if (time_to_ns(time_now() - start) > READ_WAIT_NS)
			return -ETIMEDOUT;
		timer_run(TIMER_NEVER);
		block_look();
		arch_take_interrupts();
	}
	err = err ? err : w->err;
	if (!err)
		memcpy(to, buffer, bytes);
	kmem_free(w, size);
	return err;
}

// ---------------------------------------------------------------- registration

static struct block_device *add(struct block_disk *disk, u64 first, u64 sectors)
{
	struct block_device *d = count < DEVICES_MAX ? &devices[count] : NULL;

	if (!d) {
		log_line("%s: more disks and partitions than the kernel keeps", disk->name);
		return NULL;
	}
	*d = (struct block_device){.disk = disk, .first = first, .sectors = sectors};
	count++;
	return d;
}

static void add_partition(void *arg, unsigned number, const struct gpt_partition *p)
{
	struct block_disk *disk = arg;
	u64 scale = disk->limits.block_size / BLOCK_SECTOR;
	struct block_device *d = add(disk, p->first * scale, (p->last - p->first + 1) * scale);
	size_t n = strlen(disk->name);

	if (!d)
		return;
	format(d->name, sizeof(d->name), "%s%s%u", disk->name,
		disk->name[n - 1] >= '0' && disk->name[n - 1] <= '9' ? "p" : "", number);
	gpt_uuid_text(p->uuid, d->partuuid);
	log_line("%s: %llu MiB, PARTUUID %s, \"%s\"", d->name,
		(unsigned long long)(d->sectors / 2048), d->partuuid, p->name);
}

static int read_block(void *arg, u64 block, void *to)
{
	struct block_disk *disk = arg;
	u32 size = disk->limits.block_size;

	return block_read_now(disk, block * (size / BLOCK_SECTOR), to, size);
}

void block_register(struct block_disk *disk)
{
	static struct gpt gpt;
	struct block_device *d = add(disk, 0, disk->sectors);
	u32 size = disk->limits.block_size;
	const char *why = NULL;

	if (!d)
		return;
	memcpy(d->name, disk->name, sizeof(d->name));
	log_line("%s: disk of %llu MiB, blocks of %u bytes%s, serial number \"%s\"", disk->name,
		(unsigned long long)(disk->sectors / 2048), size,
		disk->limits.read_only ? ", read-only" : "", disk->id);
	gpt = (struct gpt){.read = read_block,
		.arg = disk,
		.block_size = size,
		.blocks = disk->sectors / (size / BLOCK_SECTOR)};
	if (!gpt_read(&gpt, &why)) {
		log_line("%s: no partitions: %s", disk->name, why);
		return;
	}
	if (why)
		log_line("%s: the second copy of the partition table is used: %s", disk->name, why);
	for (unsigned i = 0; i < gpt.count; i++)
		add_partition(disk, gpt.partitions[i].number, &gpt.partitions[i]);
}
