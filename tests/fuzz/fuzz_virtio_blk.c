// SPDX-License-Identifier: MIT
// A virtio-blk behind its PCI function before a store that delays and fails: registers, rings, chains and completions in
// any order; and its saved state, as it is and damaged.
// link: devices/virtio_blk.c devices/virtio_blk_request.c devices/virtio_blk_pace.c
// link: devices/virtio_pci.c devices/virtio_pci_common.c devices/virtio_pci_state.c
// link: devices/virtio.c devices/virtqueue.c devices/pci_config.c devices/msix.c
// link: devices/host_test/host_test.c devices/host_test/host_test_block.c
// cc: -fno-sanitize-coverage=trace-cmp
// fuzz: -max_len=512
#include <stdio.h>

#include "devices/host_test/host_test_block.h"
#include "devices/virtio_blk.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/virtio_steps.h"
#include "tests/unit/virtio_pci_driver.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define SECTORS 64u
#define QUEUES  2u
#define RING(q) (0x1000u + 0x3000u * (q))

struct machine {
	struct host *h;
	struct host_block *store;
	struct virtio_blk b;
	struct virtio_pci fn;
};

static void machine_init(struct machine *m)
{
	virtio_blk_init(&m->b, m->h, m->store, QUEUES);
	virtio_pci_init(&m->fn, &m->b.dev, 1);
}

// What a good driver would do, so that the input begins where it is interesting. A reset may be pending: then it waits.
static void driver_start(struct machine *m, u8 how)
{
	struct pci_driver d;

	virtio_pci_ops.reset(&m->fn);
	host_test_block_finish_all(m->store);
	MUST(driver_find(&d, &m->fn));
	if (how & 0x80)
		driver_msix(&d, QUEUES + 1);
	MUST(driver_negotiate(&d, how & 0x40 ? ~0ull : how & 0x20 ? ~VIRTIO_BLK_F_FLUSH : 0));
	for (u16 q = 0; q < QUEUES; q++)
		driver_queue(&d, q, (u16)(2u << (how & 7)), RING(q), (u16)(q + 1));
	driver_ok(&d);
}

static void invariants(const struct machine *m)
{
	const struct virtio_device *d = &m->b.dev;
	unsigned spare = 0;

	for (const struct virtio_blk_slot *s = m->b.spare; s; s = s->next)
		MUST(++spare <= VIRTIO_BLK_SLOTS);
	MUST(spare + m->b.in_flight == VIRTIO_BLK_SLOTS);
	MUST(m->b.in_flight == m->store->queued);
	MUST(!m->b.inside);
	MUST(m->b.rest.on == (m->b.unasked != 0));
	MUST(!d->resetting || (m->b.in_flight && d->status == VIRTIO_NEEDS_RESET));
	MUST(!(d->status & VIRTIO_FEATURES_OK) || !(d->accepted & ~d->offered));
	MUST(!(d->status & VIRTIO_DRIVER_OK) || d->status & VIRTIO_FEATURES_OK);
	for (unsigned i = 0; i < d->queues; i++)
		MUST(!m->b.queue[i].broken || d->status & VIRTIO_NEEDS_RESET);
}

// Saves if nothing is in flight, damages the state if asked to, and restores into a fresh device, with which it goes on.
static void move(struct machine *m, struct input *in, bool damage)
{
	struct virtio_blk_state s;
	struct virtio_pci_state ps;
	bool ok = virtio_blk_save(&m->b, &s);

	MUST(ok == !m->b.in_flight);
	if (!ok)
		return;
	virtio_pci_save(&m->fn, &ps);
	if (damage) {
		((u8 *)&s)[input_u16(in) % sizeof(s)] ^= input_u8(in);
		((u8 *)&ps)[input_u16(in) % sizeof(ps)] ^= input_u8(in);
	}
	virtio_blk_destroy(&m->b);
	m->h->intx[1] = false; // a new machine's line
	machine_init(m);
	ok = virtio_blk_load(&m->b, &s) && virtio_pci_load(&m->fn, &ps);
	MUST(ok || damage);
	if (!ok)
		virtio_pci_ops.reset(&m->fn);
}

// A chain of up to seven descriptors, most of them as a request has them; now and then a ring full of it.
static void chain_add(struct machine *m, struct input *in, unsigned q)
{
	static const u32 types[] = {0, 1, 4, 8, 11, 13, 0, 1};
	struct {
		u32 type, reserved;
		u64 sector;
		u64 range_sector;
		u32 count, flags;
	} request = {.type = types[input_u8(in) % 8], .sector = input_u8(in) % (SECTORS + 2)};
	u8 shape = input_u8(in), segs = (u8)(1 + shape % 7), head = input_u8(in);
	u8 times = head;
	u16 idx = 0;

	head &= 0x7f;
	request.range_sector = request.sector;
	request.count = input_u8(in);
	request.flags = shape >> 6;
	host_guest_write(m->h, 0x7000 + 32u * (head % 64u), &request, sizeof(request));
	for (u8 i = 0; i < segs; i++) {
		u8 what = input_u8(in);
		struct {
			u64 addr;
			u32 len;
			u16 flags, next;
		} d = {0x7000 + 32u * (head % 64u), 16, D_NEXT, (u16)((head + i + 1) & 0x7f)};

		if (i || what >= 0xf0) {
			d.addr = 0x8000 + 0x200ull * (what & 0x7f);
			d.len = what & 1 ? input_u16(in) : 512;
			d.flags = (u16)(D_NEXT | (what & 0x80 ? D_WRITE : 0));
		}
		if (i == segs - 1 && i) {
			d.len = what & 1 ? d.len : 1;
			d.flags = D_WRITE;
		}
		host_guest_write(m->h, RING(q) + 16ull * ((head + i) & 0x7fu), &d, sizeof(d));
	}
	host_guest_read(m->h, RING(q) + 0x1002, &idx, 2);
	for (u16 n = times == 0xff ? m->b.queue[q].s.size : 1; n; n--, idx++)
		host_guest_write(m->h, RING(q) + 0x1004 + 2ull * (idx % m->b.queue[q].s.size),
			&(u16){head}, 2);
	host_guest_write(m->h, RING(q) + 0x1002, &idx, 2);
	virtio_pci_ops.bar_write(&m->fn, 1, 0, 2, q);
}

static void memory_write(struct machine *m, struct input *in, u8 op)
{
	static const u64 where[] = {
		0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000, 0x7000, 0x13000};
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
	case 3:
		virtio_pci_ops.bar_write(&m->fn, 1, 0, 2, arg);
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
		chain_add(m, in, arg & 1);
		break;
	case 9:
	case 10:
		if (m->store->queued)
			host_test_block_finish(m->store, arg % m->store->queued);
		break;
	case 11:
		m->store->delay = arg & 1;
		m->store->cancels = arg & 2;
		m->store->fails = arg >> 2;
		for (unsigned i = 0; i < m->store->fails; i++)
			m->store->fail[i] = (enum host_block_status)(1 + input_u8(in) % 3);
		break;
	case 12:
		virtio_blk_pause(&m->b, arg & 1);
		if (arg & 2) // as after many requests
			m->b.pace[arg >> 3].goal = (u16)(1 + (arg & 4) * 7);
		break;
	case 13:
		if (arg & 8)
			host_test_rest(m->h, arg & 3);
		else
			host_test_advance(m->h, (u64)arg * 200000);
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

	if (!m.h) {
		m.h = host_test_create();
		m.store = host_test_block_create(m.h, SECTORS);
		m.store->info.immediate = true;
	}
	host_test_clear(m.h);
	m.store->delay = m.store->cancels = false;
	m.store->fails = m.store->records = 0;
	machine_init(&m);
	if (how != 0xff)
		driver_start(&m, how);
	while (in.left)
		step(&m, &in);
	virtio_pci_ops.reset(&m.fn);
	host_test_block_finish_all(m.store);
	MUST(virtio_blk_quiet(&m.b) && !m.b.dev.status);
	virtio_blk_destroy(&m.b);
	return 0;
}
