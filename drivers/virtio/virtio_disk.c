// SPDX-License-Identifier: MIT
// Drives virtio block devices (virtio 1.2, 5.2): a queue for each CPU if the device has as many. Its disks are called
// vd0, vd1, ... A request that it does not answer in time leads to a reset, as it knows no way to take one back.
#include "drivers/virtio/virtio_disk.h"
#include "drivers/block.h"
#include "drivers/dma.h"
#include "drivers/virtio/vfunc.h"
#include "kernel/core/log.h"
#include "kernel/core/pcpu.h"
#include "kernel/x86/irq.h"
#include "kernel/x86/port.h"
#include "lib/errno.h"
#include "lib/string.h"

#define VENDOR       0x1AF4
#define DEVICE       0x1042
#define DEVICE_OLD   0x1001 // speaks version 1, too
#define SEGMENTS     62u    // of a request; with its header and status they fill a table of 1 KiB
#define TABLE        (SEGMENTS + 2)
#define RESET_NS     2000000000ull
#define STEP_NS      1000000ull
#define BYTES_MAX    (1 * MiB)
#define SECTORS_MAX  BIT(48)
#define F_SEG_MAX    BIT(2)
#define F_READ_ONLY  BIT(5)
#define F_BLOCK_SIZE BIT(6)
#define F_FLUSH      BIT(9)
#define F_QUEUES     BIT(12)
#define F_DISCARD    BIT(13)
#define F_ZERO       BIT(14)
#define CONFIG_MIN   24u // bytes: all that every device has

enum { // of the device's configuration, 5.2.4
	CONFIG_CAPACITY = 0,
	CONFIG_SEG_MAX = 12,
	CONFIG_BLOCK_SIZE = 20,
	CONFIG_QUEUES = 34,
	CONFIG_DISCARD = 36,
	CONFIG_ZERO = 48,
	CONFIG_END = 60,
};

enum { TYPE_IN = 0, TYPE_OUT = 1, TYPE_FLUSH = 4, TYPE_ID = 8, TYPE_DISCARD = 11, TYPE_ZERO = 13 };

// What goes before a request's data and behind it; the device writes status.
struct frame {
	u32 type, reserved;
	u64 sector;
	u64 range_sector; // of discard and zero: the data
	u32 range_sectors, range_flags;
	u8 status;
	u8 pad[31];
};

_Static_assert(sizeof(struct frame) == 64, "64 of them fill a page");

struct queue {
	struct block_queue block;
	struct disk *disk;
	struct vring ring;
	u64 free; // slots, a bit each
	struct block_request *requests[VIRTIO_QUEUE_MAX];
	struct frame *frames;
	struct vring_descriptor *tables; // TABLE for each slot
	u64 strange;                     // came back without having been given
};

struct disk {
	struct block_controller block;
	struct block_disk disk;
	struct vfunc function;
	u64 deadline; // of a reset
	struct queue *queues[BLOCK_QUEUES];
};

static u32 number;

static struct queue *of(struct block_queue *q)
{
	return container_of(q, struct queue, block);
}

// ---------------------------------------------------------------- requests

static u32 add_data(struct vring_descriptor *table, const struct block_request *r)
{
	u16 flags = VIRTIO_NEXT | (r->op == BLOCK_READ ? VIRTIO_WRITE : 0);
	struct block_cursor cursor;
	struct block_segment s;
	u32 n = 1;

	block_cursor_start(&cursor, r);
	while (block_cursor_next(&cursor, &s)) {
		table[n] = (struct vring_descriptor){s.at.v, s.len, flags, (u16)(n + 1)};
		n++;
	}
	return n;
}

static u32 fill(struct queue *q, struct block_request *r)
{
	static const u8 types[] = {[BLOCK_READ] = TYPE_IN,
		[BLOCK_WRITE] = TYPE_OUT,
		[BLOCK_FLUSH] = TYPE_FLUSH,
		[BLOCK_DISCARD] = TYPE_DISCARD,
		[BLOCK_ZERO] = TYPE_ZERO};
	struct vring_descriptor *table = q->tables + r->slot * TABLE;
	struct frame *f = q->frames + r->slot;
	bool range = r->op == BLOCK_DISCARD || r->op == BLOCK_ZERO;
	u32 n;

	*f = (struct frame){.type = types[r->op],
		.sector = range ? 0 : r->piece.sector,
		.range_sector = r->piece.sector,
		.range_sectors = (u32)r->piece.sectors,
		.status = 0xFF};
	table[0] = (struct vring_descriptor){dma_address(f), 16, VIRTIO_NEXT, 1};
	n = add_data(table, r);
	if (range) {
		table[n] = (struct vring_descriptor){
			dma_address(&f->range_sector), 16, VIRTIO_NEXT, (u16)(n + 1)};
		n++;
	}
	table[n] = (struct vring_descriptor){dma_address(&f->status), 1, VIRTIO_WRITE, 0};
	return n + 1;
}

static int start(struct block_queue *queue, struct block_request *r)
{
	struct queue *q = of(queue);

	if (!q->free)
		return -EAGAIN;
	r->slot = (u16)__builtin_ctzll(q->free);
	q->free &= q->free - 1;
	q->requests[r->slot] = r;
	vring_put(&q->ring, r->slot, q->tables + r->slot * TABLE, fill(q, r));
	return 0;
}

static void kick(struct block_queue *queue)
{
	vring_kick(&of(queue)->ring);
}

static void take_all(struct queue *q)
{
	u32 slot;

	for (u32 i = 0; i < q->ring.entries && vring_take(&q->ring, &slot); i++) {
		struct block_request *r = slot < q->ring.entries ? q->requests[slot] : NULL;

		if (!r) {
			q->strange++;
			continue;
		}
		q->requests[slot] = NULL;
		q->free |= BIT(slot);
		block_complete(&q->block, r, READ_ONCE(q->frames[slot].status) ? -EIO : 0);
	}
}

static void interrupt(void *arg)
{
	struct queue *q = arg;

	spin_lock(&q->block.lock);
	if (!q->block.stopped)
		take_all(q);
	block_queue_end(&q->block);
}

static bool expire(struct block_queue *queue, struct block_request *r)
{
	if (r->expiries == 1) {
		take_all(of(queue)); // if only the interrupt was lost
		return true;
	}
	block_reset(queue->controller, "a request is not answered");
	return false;
}

// ---------------------------------------------------------------- bringing it to work

static void queue_clear(struct queue *q)
{
	spin_lock(&q->block.lock);
	q->ring.given = q->ring.taken = 0;
	memset((void *)q->ring.available, 0, PAGE_SIZE);
	memset((void *)q->ring.used, 0, PAGE_SIZE);
	q->free = q->ring.entries < 64 ? BIT(q->ring.entries) - 1 : ~0ull;
	memset(q->requests, 0, sizeof(q->requests));
	spin_unlock(&q->block.lock);
}

static bool set_up(struct disk *d)
{
	u64 wanted =
		F_SEG_MAX | F_READ_ONLY | F_BLOCK_SIZE | F_FLUSH | F_QUEUES | F_DISCARD | F_ZERO;

	if (!vfunc_negotiate(&d->function, wanted))
		return false;
	for (u32 i = 0; i < d->block.queue_count; i++) {
		queue_clear(d->queues[i]);
		if (!vring_enable(&d->function, &d->queues[i]->ring))
			return false;
	}
	vfunc_start(&d->function);
	return true;
}

static u64 recover(struct block_controller *c, bool first)
{
	struct disk *d = container_of(c, struct disk, block);

	if (first) {
		vfunc_reset(&d->function);
		d->deadline = time_now() + time_from_ns(RESET_NS);
		return STEP_NS / 10;
	}
	if (!vfunc_is_reset(&d->function)) {
		c->why = "it does not reset itself";
		return time_now() > d->deadline ? BLOCK_FAILED : STEP_NS;
	}
	c->why = "it refuses its features or queues";
	return set_up(d) ? 0 : BLOCK_FAILED;
}

static void cut_off(struct block_controller *c)
{
	pci_disable(container_of(c, struct disk, block)->function.pci);
}

static const struct block_driver driver = {
	.start = start, .kick = kick, .expire = expire, .recover = recover, .cut_off = cut_off};

// ---------------------------------------------------------------- finding it

static u32 config32(const struct disk *d, u32 offset)
{
	return mmio_read32(d->function.device + offset);
}

static int queue_make(struct disk *d, u32 i)
{
	struct queue *q = kmem_alloc(sizeof(*q), FRAME_OWNER_KERNEL);
	u32 entries = vfunc_queue_size(&d->function, i);
	struct irq_message m;
	int err;

	if (!q || !entries)
		return -ENODEV;
	q->disk = d;
	q->frames = dma_alloc(d->block.domain, VIRTIO_QUEUE_MAX * sizeof(*q->frames));
	q->tables = dma_alloc(d->block.domain, VIRTIO_QUEUE_MAX * TABLE * sizeof(*q->tables));
	if (!q->frames || !q->tables || vring_init(&q->ring, d->block.domain, i, entries) ||
		block_queue_init(&q->block, &d->block))
		return -ENOMEM;
	d->queues[i] = q;
	d->block.queues[i] = &q->block;
	err = irq_alloc(pcpus[i], interrupt, q, &m);
	return err < 0 ? err : pci_irq_set(d->function.pci, i, &m);
}

static int make_queues(struct disk *d)
{
	u32 queues = MIN(vfunc_queue_count(&d->function), MIN(pcpu_count, BLOCK_QUEUES));
	int err = 0;

	queues = MIN(queues, pci_irq_count(d->function.pci));
	for (u32 i = 0; i < queues && !err; i++)
		err = queue_make(d, i);
	d->block.queue_count = queues;
	return queues ? err : -ENODEV;
}

static bool read_config(struct disk *d)
{
	const struct vfunc *v = &d->function;
	u64 has = v->device_size >= CONFIG_END ? v->features : v->features & ~(F_DISCARD | F_ZERO);
	u32 block = has & F_BLOCK_SIZE ? config32(d, CONFIG_BLOCK_SIZE) : BLOCK_SECTOR;
	u32 segments = has & F_SEG_MAX ? MIN(config32(d, CONFIG_SEG_MAX), SEGMENTS) : 1;
	u64 sectors = config32(d, CONFIG_CAPACITY) | (u64)config32(d, CONFIG_CAPACITY + 4) << 32;

	if (!sectors || sectors > SECTORS_MAX || block < BLOCK_SECTOR || block > PAGE_SIZE ||
		(block & (block - 1)) || !segments)
		return false;
	d->disk = (struct block_disk){.controller = &d->block,
		.sectors = ALIGN_DOWN(sectors, block / BLOCK_SECTOR),
		.limits = {.block_size = block,
			.physical_block = block,
			.max_bytes = BYTES_MAX,
			.max_segments = segments,
			.align = 1,
			.max_discard = has & F_DISCARD ? config32(d, CONFIG_DISCARD) : 0,
			.max_zero = has & F_ZERO ? config32(d, CONFIG_ZERO) : 0,
			.read_only = has & F_READ_ONLY}};
	memcpy(d->disk.name, d->block.name, sizeof(d->block.name));
	return true;
}

static void add(struct pci_function *f)
{
	struct disk *d = kmem_alloc(sizeof(*d), FRAME_OWNER_KERNEL);

	if (!d)
		return;
	format(d->block.name, sizeof(d->block.name), "vd%u", number++);
	block_controller_init(&d->block, &driver);
	pci_enable(f);
	d->block.domain = f->domain;
	if (!vfunc_find(&d->function, f) || d->function.device_size < CONFIG_MIN) {
		log_line("%s: its registers are not those of virtio 1", d->block.name);
		pci_disable(f);
		return;
	}
	if (make_queues(d)) {
		log_line("%s: no memory or interrupts for its queues", d->block.name);
		pci_disable(f);
		return;
	}
	if (block_bring_up(&d->block))
		return;
	if (read_config(d)) {
		block_register(&d->disk);
	} else {
		log_line("%s: its size or its blocks make no sense", d->block.name);
		pci_disable(f);
	}
}

void virtio_disk_init(void)
{
	for (u32 i = 0; i < pci_count(); i++) {
		struct pci_function *f = pci_at(i);

		if (f->vendor == VENDOR && (f->device == DEVICE || f->device == DEVICE_OLD))
			add(f);
	}
}
