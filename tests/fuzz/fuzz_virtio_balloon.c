// SPDX-License-Identifier: MIT
// A virtio-balloon behind its PCI function, before a host that takes some pages at a time and answers late: registers,
// rings, chains and answers in any order; and its saved state, as it is and damaged.
// link: devices/virtio_balloon.c
// link: devices/virtio_pci.c devices/virtio_pci_common.c devices/virtio_pci_state.c
// link: devices/virtio.c devices/virtqueue.c devices/pci_config.c devices/msix.c
// link: devices/host_test/host_test.c
// cc: -fno-sanitize-coverage=trace-cmp
// fuzz: -max_len=512
#include "devices/virtio_balloon.h"
#include "tests/fuzz/virtio_steps.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define RING(q)                                                                                    \
	(0x1000u + 0x3000u * (q)) // of queues 0 to 2; a fourth has its rings in those of the third
#define QUEUES 4u
#define PAGES  77u // that the host asks for

static struct virtio_balloon balloon;

static void init(void)
{
	host->drop_ended = false; // a new machine
	virtio_balloon_init(&balloon, host, PAGES);
	virtio_pci_init(&fn, &balloon.dev, 1);
}

static void destroy(void) {}

static bool save(void *state)
{
	virtio_balloon_save(&balloon, state);
	return true;
}

static bool load(const void *state)
{
	bool ok = virtio_balloon_load(&balloon, state);

	balloon.config.num_pages = PAGES;
	return ok;
}

static void start(struct input *in)
{
	struct pci_driver d;
	u8 how = input_u8(in);

	virtio_pci_ops.reset(&fn);
	MUST(driver_find(&d, &fn));
	if (how & 0x80)
		driver_msix(&d, VIRTIO_BALLOON_QUEUES + 1);
	MUST(driver_negotiate(&d, how & 0x40   ? ~0ull
				  : how & 0x20 ? ~VIRTIO_BALLOON_F_PAGE_POISON
					       : 0));
	for (u16 q = 0; q < QUEUES; q++)
		driver_queue(&d, q, (u16)(1u << (how & 7)), RING(MIN(q, 2)), (u16)(q + 1));
	driver_ok(&d);
}

static void check(void)
{
	const struct virtio_balloon *b = &balloon;

	MUST(b->owed == host->drop_ended);
	MUST(b->stage <= BALLOON_NAMED && b->hand < VIRTIO_BALLOON_QUEUES);
	MUST(b->stage != BALLOON_NAMING || b->owed || !virtio_running(&b->dev));
	MUST(b->config.num_pages == PAGES && !b->config.free_page_hint_cmd_id);
}

static void end(void)
{
	virtio_pci_ops.reset(&fn);
	host_test_drop(host);
	MUST(!host->drop_ended && !balloon.dev.status && balloon.stage == BALLOON_IDLE);
}

// A chain of up to seven descriptors.
static void chain_add(struct input *in, unsigned q)
{
	u8 shape = input_u8(in), segs = (u8)(1 + shape % 7), head = (u8)(input_u8(in) & 0x3f);
	u64 ring = RING(MIN(q, 2));

	for (u8 i = 0; i < segs; i++) {
		u8 what = input_u8(in);
		u16 more = input_u16(in);
		struct fuzz_desc d = {0xa000 + 0x200ull * (what & 0x7f), more, D_NEXT,
			(u16)((head + i + 1) & 0x3f)};

		if (more & 0x8000) // as wide as can be
			d.len = (u32)more << 16;
		if (shape & 0x80)
			d.addr += (u64)more << (shape >> 3 & 0xf) << 32;
		if (what & 0x80)
			d.flags |= D_WRITE;
		if (i == segs - 1)
			d.flags &= (u16)~D_NEXT;
		desc_write(ring, (head + i) & 0x3fu, &d);
	}
	head_publish(ring + 0x1000, balloon.queue[q].s.size, head, 1);
	queue_notify(q);
}

// The device's own configuration.
static void device_write(struct input *in, unsigned size)
{
	u32 at = VIRTIO_PCI_DEVICE + input_u8(in) % 16u;

	virtio_pci_ops.bar_write(&fn, 0, at, size, input_u32(in));
}

static void memory_taken(void)
{
	for (unsigned i = 0; i < VIRTIO_BALLOON_QUEUES; i++)
		virtqueue_remap(&balloon.queue[i]);
	virtio_check(&balloon.dev);
}

static void step(u8 op, struct input *in)
{
	static const u64 where[] = {0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x7000, 0x8000, 0xa000};
	u8 arg = op >> 4;

	switch (op & 15) {
	case 3:
		device_write(in, 1u << (arg & 3));
		break;
	case 5:
		step_memory_write(in, where, arg);
		break;
	case 6:
	case 7:
	case 8:
		chain_add(in, arg % QUEUES);
		break;
	case 9:
	case 10:
	case 11:
		host_test_drop(host);
		break;
	case 12:
		host->drop_room = arg;
		break;
	case 13:
		memory_taken();
		break;
	default:
		step_common(op, in);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const struct fuzz_device device = {
		FUZZ_DEVICE(struct virtio_balloon_state), .check = check, .end = end};

	return fuzz_virtio(&device, data, size);
}
