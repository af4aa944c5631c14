// SPDX-License-Identifier: MIT
// A virtio-balloon behind its PCI function, before a host that takes some pages at a time and answers late: registers,
// rings, chains and answers in any order; and its saved state, as it is and damaged.
// link: devices/virtio_balloon.c
// link: devices/virtio_pci.c devices/virtio_pci_common.c devices/virtio_pci_state.c
// link: devices/virtio.c devices/virtqueue.c devices/pci_config.c devices/msix.c
// link: devices/host_test/host_test.c
#include <stdio.h>

#include "devices/virtio_balloon.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/virtio_steps.h"
#include "tests/unit/virtio_pci_driver.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define RING(q)                                                                                    \
	(0x1000u + 0x3000u * (q)) // of queues 0 to 2; a fourth has its rings in those of the third
#define QUEUES 4u

struct machine {
	struct host *h;
	struct virtio_balloon b;
	struct virtio_pci fn;
};

static void machine_init(struct machine *m)
{
	virtio_balloon_init(&m->b, m->h, 77);
	virtio_pci_init(&m->fn, &m->b.dev, 1);
}

// What a good driver would do, so that the input begins where it is interesting.
static void driver_start(struct machine *m, u8 how)
{
	struct pci_driver d;

	virtio_pci_ops.reset(&m->fn);
	MUST(driver_find(&d, &m->fn));
	if (how & 0x80)
		driver_msix(&d, VIRTIO_BALLOON_QUEUES + 1);
	MUST(driver_negotiate(&d, how & 0x40   ? ~0ull
				  : how & 0x20 ? ~VIRTIO_BALLOON_F_PAGE_POISON
					       : 0));
	for (u16 q = 0; q < QUEUES; q++)
		driver_queue(&d, q, (u16)(1u << (how & 7)), RING(MIN(q, 2)), (u16)(q + 1));
	driver_ok(&d);
}

static void invariants(const struct machine *m)
{
	const struct virtio_balloon *b = &m->b;
	const struct virtio_device *d = &b->dev;

	MUST(b->owed == m->h->drop_ended);
	MUST(b->stage <= BALLOON_NAMED && b->hand < VIRTIO_BALLOON_QUEUES);
	MUST(b->stage != BALLOON_NAMING || b->owed || !virtio_running(d));
	MUST(b->config.num_pages == 77 && !b->config.free_page_hint_cmd_id);
	MUST(!(d->status & VIRTIO_FEATURES_OK) || !(d->accepted & ~d->offered));
	MUST(!(d->status & VIRTIO_DRIVER_OK) || d->status & VIRTIO_FEATURES_OK);
	for (unsigned i = 0; i < d->queues; i++)
		MUST(!b->queue[i].broken || d->status & VIRTIO_NEEDS_RESET);
}

// Saves, damages the state if asked to, and restores into a fresh device, with which it goes on.
static void move(struct machine *m, struct input *in, bool damage)
{
	struct virtio_balloon_state s;
	struct virtio_pci_state ps;
	bool ok;

	virtio_balloon_save(&m->b, &s);
	virtio_pci_save(&m->fn, &ps);
	if (damage) {
		((u8 *)&s)[input_u16(in) % sizeof(s)] ^= input_u8(in);
		((u8 *)&ps)[input_u16(in) % sizeof(ps)] ^= input_u8(in);
	}
	m->h->intx[1] = m->h->drop_ended = false; // a new machine
	machine_init(m);
	ok = virtio_balloon_load(&m->b, &s) && virtio_pci_load(&m->fn, &ps);
	MUST(ok || damage);
	if (!ok)
		virtio_pci_ops.reset(&m->fn);
	m->b.config.num_pages = 77;
}

// A chain of up to seven descriptors.
static void chain_add(struct machine *m, struct input *in, unsigned q)
{
	u8 shape = input_u8(in), segs = (u8)(1 + shape % 7), head = (u8)(input_u8(in) & 0x3f);
	u64 ring = RING(MIN(q, 2));
	u16 idx = 0;

	for (u8 i = 0; i < segs; i++) {
		u8 what = input_u8(in);
		u16 more = input_u16(in);
		struct {
			u64 addr;
			u32 len;
			u16 flags, next;
		} d = {0xa000 + 0x200ull * (what & 0x7f), more, D_NEXT,
			(u16)((head + i + 1) & 0x3f)};

		if (more & 0x8000) // as wide as can be
			d.len = (u32)more << 16;
		if (shape & 0x80)
			d.addr += (u64)more << (shape >> 3 & 0xf) << 32;
		if (what & 0x80)
			d.flags |= D_WRITE;
		if (i == segs - 1)
			d.flags &= (u16)~D_NEXT;
		host_guest_write(m->h, ring + 16ull * ((head + i) & 0x3fu), &d, sizeof(d));
	}
	host_guest_read(m->h, ring + 0x1002, &idx, 2);
	host_guest_write(
		m->h, ring + 0x1004 + 2ull * (idx % m->b.queue[q].s.size), &(u16){head}, 2);
	idx++;
	host_guest_write(m->h, ring + 0x1002, &idx, 2);
	virtio_pci_ops.bar_write(&m->fn, 1, 0, 2, q);
}

static void memory_write(struct machine *m, struct input *in, u8 op)
{
	static const u64 where[] = {0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x7000, 0x8000, 0xa000};
	u64 v = input_u64(in);

	host_guest_write(m->h, where[op % ARRAY_SIZE(where)] + input_u8(in), &v, 1 + (op >> 4) % 8);
}

static void step(struct machine *m, struct input *in)
{
	u8 op = input_u8(in), arg = op >> 4;
	unsigned size = 1u << (arg & 3);

	switch (op & 15) {
	case 0:
		step_bar_read(&m->fn, in, size);
		break;
	case 1:
		step_bar_write(&m->fn, in, size);
		break;
	case 2:
		step_common_write(&m->fn, in, size);
		break;
	case 3: // the device's own
		virtio_pci_ops.bar_write(
			&m->fn, 0, VIRTIO_PCI_DEVICE + input_u8(in) % 16u, size, input_u32(in));
		break;
	case 4:
		step_config_write(&m->fn, in, size);
		break;
	case 5:
		memory_write(m, in, op);
		break;
	case 6:
	case 7:
	case 8:
		chain_add(m, in, arg % QUEUES);
		break;
	case 9:
	case 10:
	case 11:
		host_test_drop(m->h);
		break;
	case 12:
		m->h->drop_room = arg;
		break;
	case 13: // the host has taken memory away
		for (unsigned i = 0; i < VIRTIO_BALLOON_QUEUES; i++)
			virtqueue_remap(&m->b.queue[i]);
		virtio_check(&m->b.dev);
		break;
	case 14:
		driver_start(m, input_u8(in));
		break;
	case 15:
		if (arg == 15)
			virtio_pci_ops.reset(&m->fn);
		else
			move(m, in, arg & 1);
		break;
	}
	invariants(m);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct machine m;
	struct input in = {data, size};
	u8 how = input_u8(&in);

	if (!m.h)
		m.h = host_test_create();
	host_test_clear(m.h);
	machine_init(&m);
	if (how != 0xff)
		driver_start(&m, how);
	while (in.left)
		step(&m, &in);
	virtio_pci_ops.reset(&m.fn);
	host_test_drop(m.h);
	MUST(!m.h->drop_ended && !m.b.dev.status && m.b.stage == BALLOON_IDLE);
	return 0;
}
