// SPDX-License-Identifier: MIT
// A virtio-blk behind its PCI function before a store that delays and fails: registers, rings, chains and completions in
// any order; and its saved state, as it is and damaged.
// link: devices/virtio_blk.c devices/virtio_blk_request.c devices/virtio_pace.c
// link: devices/virtio_pci.c devices/virtio_pci_common.c devices/virtio_pci_state.c
// link: devices/virtio.c devices/virtqueue.c devices/pci_config.c devices/msix.c
// link: devices/host_test/host_test.c devices/host_test/host_test_block.c
// cc: -fno-sanitize-coverage=trace-cmp
// fuzz: -max_len=512
#include "devices/host_test/host_test_block.h"
#include "devices/virtio_blk.h"
#include "tests/fuzz/virtio_steps.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define SECTORS 64u
#define QUEUES  2u
#define RING(q) (0x1000u + 0x3000u * (q))

static struct host_block *store;
static struct virtio_blk blk;

static void begin(void)
{
	if (!store) {
		store = host_test_block_create(host, SECTORS);
		store->info.immediate = true;
	}
	host_test_block_clear(store);
}

static void init(void)
{
	virtio_blk_init(&blk, host, store, QUEUES);
	virtio_pci_init(&fn, &blk.dev, 1);
}

static void destroy(void)
{
	virtio_blk_destroy(&blk);
}

// Only if nothing is in flight.
static bool save(void *state)
{
	bool ok = virtio_blk_save(&blk, state);

	MUST(ok == !blk.in_flight);
	return ok;
}

static bool load(const void *state)
{
	return virtio_blk_load(&blk, state);
}

// A reset may be pending: then it waits.
static void start(struct input *in)
{
	struct pci_driver d;
	u8 how = input_u8(in);

	virtio_pci_ops.reset(&fn);
	host_test_block_finish_all(store);
	MUST(driver_find(&d, &fn));
	if (how & 0x80)
		driver_msix(&d, QUEUES + 1);
	MUST(driver_negotiate(&d, how & 0x40 ? ~0ull : how & 0x20 ? ~VIRTIO_BLK_F_FLUSH : 0));
	for (u16 q = 0; q < QUEUES; q++)
		driver_queue(&d, q, (u16)(2u << (how & 7)), RING(q), (u16)(q + 1));
	driver_ok(&d);
}

static void check(void)
{
	const struct virtio_device *d = &blk.dev;

	MUST(blk.in_flight == store->queued);
	MUST(!blk.inside);
	MUST(blk.rest.on == (blk.unasked != 0));
	MUST(!d->resetting || (blk.in_flight && d->status == VIRTIO_NEEDS_RESET));
}

static void end(void)
{
	unsigned spare = 0;

	for (const struct virtio_blk_slot *s = blk.spare; s; s = s->next)
		MUST(++spare <= VIRTIO_BLK_SLOTS);
	MUST(spare + blk.in_flight == VIRTIO_BLK_SLOTS);
	virtio_pci_ops.reset(&fn);
	host_test_block_finish_all(store);
	MUST(virtio_blk_quiet(&blk) && !blk.dev.status);
}

// A chain of up to seven descriptors, most of them as a request has them; now and then a ring full of it.
static void chain_add(struct input *in, unsigned q)
{
	static const u32 types[] = {0, 1, 4, 8, 11, 13, 0, 1};
	struct {
		u32 type, reserved;
		u64 sector;
		u64 range_sector;
		u32 count, flags;
	} request = {.type = types[input_u8(in) % 8], .sector = input_u8(in) % (SECTORS + 2)};
	u8 shape = input_u8(in), segs = (u8)(1 + shape % 7), times = input_u8(in);
	u8 head = times & 0x7f;
	u16 size = blk.queue[q].s.size;

	request.range_sector = request.sector;
	request.count = input_u8(in);
	request.flags = shape >> 6;
	host_guest_write(host, 0x7000 + 32u * (head % 64u), &request, sizeof(request));
	for (u8 i = 0; i < segs; i++) {
		u8 what = input_u8(in);
		struct fuzz_desc d = {
			0x7000 + 32u * (head % 64u), 16, D_NEXT, (u16)((head + i + 1) & 0x7f)};

		if (i || what >= 0xf0) {
			d.addr = 0x8000 + 0x200ull * (what & 0x7f);
			d.len = what & 1 ? input_u16(in) : 512;
			d.flags = (u16)(D_NEXT | (what & 0x80 ? D_WRITE : 0));
		}
		if (i == segs - 1 && i) {
			d.len = what & 1 ? d.len : 1;
			d.flags = D_WRITE;
		}
		desc_write(RING(q), (head + i) & 0x7fu, &d);
	}
	head_publish(RING(q) + 0x1000, size, head, times == 0xff ? size : 1);
	queue_notify(q);
}

static void step(u8 op, struct input *in)
{
	static const u64 where[] = {
		0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000, 0x7000, 0x13000};
	u8 arg = op >> 4;

	switch (op & 15) {
	case 3:
		queue_notify(arg);
		break;
	case 5:
		step_memory_write(in, where, arg);
		break;
	case 6:
	case 7:
	case 8:
		chain_add(in, arg & 1);
		break;
	case 9:
	case 10:
		if (store->queued)
			host_test_block_finish(store, arg % store->queued);
		break;
	case 11:
		store->delay = arg & 1;
		store->cancels = arg & 2;
		store->fails = arg >> 2;
		for (unsigned i = 0; i < store->fails; i++)
			store->fail[i] = (enum host_block_status)(1 + input_u8(in) % 3);
		break;
	case 12:
		virtio_blk_pause(&blk, arg & 1);
		if (arg & 2) // as after many requests
			blk.pace[arg >> 3].goal = (u16)(1 + (arg & 4) * 7);
		break;
	case 13:
		if (arg & 8)
			host_test_rest(host, arg & 3);
		else
			host_test_advance(host, (u64)arg * 200000);
		break;
	default:
		step_common(op, in);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const struct fuzz_device device = {
		FUZZ_DEVICE(struct virtio_blk_state), .begin = begin, .check = check, .end = end};

	return fuzz_virtio(&device, data, size);
}
