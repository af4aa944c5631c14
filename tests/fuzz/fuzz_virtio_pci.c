// SPDX-License-Identifier: MIT
// A virtio-console behind its PCI function: registers, memory, time and the host's console in any order; and its saved
// state, as it is and damaged.
// link: devices/console.c devices/virtio_pci.c devices/virtio_pci_common.c devices/virtio_pci_state.c
// link: devices/virtio.c devices/virtqueue.c devices/pci_config.c devices/msix.c
// link: devices/host_test/host_test.c
// cc: -fno-sanitize-coverage=trace-cmp
// fuzz: -max_len=512
#include <stdio.h>

#include "devices/console.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/virtio_steps.h"
#include "tests/unit/virtio_pci_driver.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

struct machine {
	struct host *h;
	struct virtio_console c;
	struct virtio_pci fn;
};

static void machine_init(struct machine *m, struct host *h)
{
	m->h = h;
	virtio_console_init(&m->c, h);
	virtio_pci_init(&m->fn, &m->c.dev, 1);
}

// What a good driver would do, so that the input begins where it is interesting.
static void driver_start(struct machine *m, u8 how)
{
	struct pci_driver d;
	u16 size = (u16)(1u << how % 7);

	MUST(driver_find(&d, &m->fn));
	if (how & 0x80)
		driver_msix(&d, 3);
	MUST(driver_negotiate(&d, how & 0x40 ? ~0ull : 0));
	driver_queue(&d, 0, size, 0x1000, 1);
	driver_queue(&d, 1, size, 0x4000, 2);
	driver_ok(&d);
}

static void invariants(const struct machine *m)
{
	const struct virtio_device *d = &m->c.dev;

	MUST(!(d->status & VIRTIO_FEATURES_OK) || !(d->accepted & ~d->offered));
	MUST(!(d->status & VIRTIO_DRIVER_OK) || d->status & VIRTIO_FEATURES_OK);
	MUST(m->c.in_count <= VIRTIO_CONSOLE_INPUT && m->c.in_head < VIRTIO_CONSOLE_INPUT);
	MUST(!m->h->intx[1] || (m->fn.isr && !msix_enabled(&m->fn.msix)));
	for (unsigned i = 0; i < d->queues; i++)
		MUST(!m->c.queue[i].broken || d->status & VIRTIO_NEEDS_RESET);
}

// Saves, damages the state if asked to, and restores into a fresh device, with which it goes on if that was taken.
static void move(struct machine *m, struct input *in, bool damage)
{
	struct virtio_console_state cs;
	struct virtio_pci_state ps;
	bool ok;

	virtio_console_save(&m->c, &cs);
	virtio_pci_save(&m->fn, &ps);
	if (damage) {
		((u8 *)&cs)[input_u16(in) % 128] ^= input_u8(in);
		((u8 *)&ps)[input_u16(in) % sizeof(ps)] ^= input_u8(in);
	}
	virtio_console_destroy(&m->c);
	m->h->intx[1] = false; // a new machine's line
	machine_init(m, m->h);
	ok = virtio_console_load(&m->c, &cs) && virtio_pci_load(&m->fn, &ps);
	MUST(ok || damage);
	if (!ok)
		virtio_pci_ops.reset(&m->fn);
}

static void memory_write(struct machine *m, struct input *in, u8 op)
{
	static const u64 where[] = {
		0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000, 0x8000, 0x13000};
	u64 v = input_u64(in);

	host_guest_write(m->h, where[op % ARRAY_SIZE(where)] + input_u8(in), &v, 1 + (op >> 4) % 8);
}

// A chain made available as a good driver would, of what the input says.
static void chain_add(struct machine *m, struct input *in)
{
	u64 rings = input_u8(in) & 1 ? 0x4000 : 0x1000;
	struct {
		u64 addr;
		u32 len;
		u16 flags, next;
	} d = {input_u16(in) * 2, input_u16(in), input_u8(in) & 7, input_u8(in)};
	u16 idx = 0, head = input_u8(in);

	host_guest_read(m->h, rings + 0x1002, &idx, 2);
	host_guest_write(m->h, rings + 16ull * head, &d, sizeof(d));
	host_guest_write(m->h, rings + 0x1004 + 2ull * (idx & 63), &head, 2);
	idx++;
	host_guest_write(m->h, rings + 0x1002, &idx, 2);
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
		virtio_pci_ops.bar_write(&m->fn, 1, input_u8(in) % 13u, MIN(size, 4u), arg >> 2);
		virtio_pci_ops.bar_write(&m->fn, 0, VIRTIO_PCI_NOTIFY + (arg & 1) * 4, 2, 0);
		break;
	case 4:
	case 5:
		size = MIN(size, 4u);
		virtio_pci_ops.config_read(&m->fn, ALIGN_DOWN((unsigned)input_u8(in), size), size);
		break;
	case 6:
		step_config_write(&m->fn, in, size);
		break;
	case 7:
	case 8:
		memory_write(m, in, op);
		break;
	case 9:
	case 10:
		chain_add(m, in);
		break;
	case 11: {
		u8 text[600];
		size_t n = MIN(in->left, 40u * arg);

		memset(text, 'x', sizeof(text));
		memcpy(text, in->at, n);
		MUST(virtio_console_input(&m->c, text, 40u * arg) <= 40u * arg);
		break;
	}
	case 12:
		m->h->console_room = input_u16(in);
		if (arg & 1)
			virtio_console_room(&m->c);
		break;
	case 13:
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
	virtio_console_destroy(&m.c);
	return 0;
}
