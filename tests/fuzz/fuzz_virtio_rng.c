// SPDX-License-Identifier: MIT
// A virtio-rng behind its PCI function: registers, chains and time in any order; and its saved state, as it is and damaged.
// link: devices/virtio_rng.c devices/virtio_pci.c devices/virtio_pci_common.c devices/virtio_pci_state.c
// link: devices/virtio.c devices/virtqueue.c devices/pci_config.c devices/msix.c
// link: devices/host_test/host_test.c
// cc: -fno-sanitize-coverage=trace-cmp
// fuzz: -max_len=512
#include <stdio.h>

#include "devices/virtio_rng.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/virtio_steps.h"
#include "tests/unit/virtio_pci_driver.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define RING 0x1000u

struct machine {
	struct host *h;
	struct virtio_rng r;
	struct virtio_pci fn;
};

static void machine_init(struct machine *m, struct host *h)
{
	m->h = h;
	virtio_rng_init(&m->r, h);
	virtio_pci_init(&m->fn, &m->r.dev, 1);
}

// What a good driver would do, so that the input begins where it is interesting.
static void driver_start(struct machine *m, u8 how)
{
	struct pci_driver d;

	MUST(driver_find(&d, &m->fn));
	if (how & 0x80)
		driver_msix(&d, 2);
	MUST(driver_negotiate(&d, how & 0x40 ? ~0ull : 0));
	driver_queue(&d, 0, (u16)(1u << how % 7), RING, 1);
	driver_ok(&d);
}

static void invariants(const struct machine *m)
{
	const struct virtio_device *d = &m->r.dev;

	MUST(!(d->status & VIRTIO_FEATURES_OK) || !(d->accepted & ~d->offered));
	MUST(!(d->status & VIRTIO_DRIVER_OK) || d->status & VIRTIO_FEATURES_OK);
	MUST(!m->r.queue.broken || d->status & VIRTIO_NEEDS_RESET);
}

// Up to four descriptors of any place and length, in the table or in an indirect one, made available and mostly notified.
static void chain_add(struct machine *m, struct input *in, bool indirect, bool kick)
{
	u64 table = indirect ? 0x8000 + input_u8(in) : RING;
	u8 head = input_u8(in) & 63, count = (u8)(1 + input_u8(in) % 4);
	u16 idx = 0, first = indirect ? 0 : head;

	for (u8 i = 0; i < count; i++) {
		struct {
			u64 addr;
			u32 len;
			u16 flags, next;
		} d = {input_u16(in) * 2u, input_u16(in), input_u8(in) & 7, (u16)(first + i + 1)};

		if (i + 1 < count)
			d.flags |= D_NEXT;
		host_guest_write(m->h, table + 16ull * (first + i), &d, sizeof(d));
	}
	if (indirect) {
		struct {
			u64 addr;
			u32 len;
			u16 flags, next;
		} d = {table, 16u * count, 4, 0};

		host_guest_write(m->h, RING + 16ull * head, &d, sizeof(d));
	}
	host_guest_read(m->h, RING + 0x1002, &idx, 2);
	host_guest_write(
		m->h, RING + 0x1004 + 2ull * (idx % MAX(m->r.queue.s.size, 1u)), &(u16){head}, 2);
	idx++;
	host_guest_write(m->h, RING + 0x1002, &idx, 2);
	if (kick)
		virtio_pci_ops.bar_write(&m->fn, 1, 0, 2, 0);
}

// Saves, damages the state if asked to, and restores into a fresh device, with which it goes on if that was taken.
static void move(struct machine *m, struct input *in, bool damage)
{
	struct virtio_rng_state s;
	struct virtio_pci_state ps;
	bool ok;

	virtio_rng_save(&m->r, &s);
	virtio_pci_save(&m->fn, &ps);
	if (damage) {
		((u8 *)&s)[input_u16(in) % sizeof(s)] ^= input_u8(in);
		((u8 *)&ps)[input_u16(in) % sizeof(ps)] ^= input_u8(in);
	}
	virtio_rng_destroy(&m->r);
	m->h->intx[1] = false; // a new machine's line
	machine_init(m, m->h);
	ok = virtio_rng_load(&m->r, &s) && virtio_pci_load(&m->fn, &ps);
	MUST(ok || damage);
	if (!ok)
		virtio_pci_ops.reset(&m->fn);
}

static void registers(struct machine *m, struct input *in, u8 arg)
{
	unsigned size = 1u << (arg & 3);
	u16 at = input_u16(in);

	if (arg & 4) // the common structure
		virtio_pci_ops.bar_write(
			&m->fn, 0, ALIGN_DOWN(at % 64u, size), size, input_u16(in));
	else
		virtio_pci_ops.bar_write(
			&m->fn, 0, at % (VIRTIO_PCI_BAR_SIZE - 7), size, input_u64(in));
	virtio_pci_ops.bar_read(&m->fn, 0, at % (VIRTIO_PCI_BAR_SIZE - 7), size);
}

static void step(struct machine *m, struct input *in)
{
	u8 op = input_u8(in), arg = op >> 4;
	u64 v;

	switch (op & 7) {
	case 0:
	case 1:
	case 2:
		chain_add(m, in, arg & 1, arg & 6);
		break;
	case 3:
		registers(m, in, arg);
		break;
	case 4: // the rings, or what lies behind them
		v = input_u64(in);
		host_guest_write(m->h, RING + input_u16(in) % 0x8000u, &v, 1 + arg % 8);
		break;
	case 5:
		host_test_advance(m->h, (u64)arg * 20000);
		break;
	case 6:
		if (arg & 1)
			driver_start(m, input_u8(in));
		else
			step_config_write(&m->fn, in, 4);
		break;
	case 7:
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
	static struct host *h;
	static struct machine m;
	struct input in = {data, size};
	u8 how = input_u8(&in);

	if (!h)
		h = host_test_create();
	host_test_clear(h);
	machine_init(&m, h);
	if (how != 0xff)
		driver_start(&m, how);
	while (in.left)
		step(&m, &in);
	virtio_rng_destroy(&m.r);
	return 0;
}
