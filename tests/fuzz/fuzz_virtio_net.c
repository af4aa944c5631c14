// SPDX-License-Identifier: MIT
// A virtio-net behind its PCI function: rings, commands and registers by a hostile driver, frames from the host, the
// link and time in any order; and its saved state, as it is and damaged.
// link: devices/virtio_net.c devices/virtio_net_tx.c devices/virtio_net_rx.c devices/virtio_net_control.c
// link: devices/virtio_net_flow.c net/offload.c net/checksum.c net/frame.c
// link: devices/virtio_pci.c devices/virtio_pci_common.c devices/virtio_pci_state.c
// link: devices/virtio.c devices/virtqueue.c devices/pci_config.c devices/msix.c
// link: devices/host_test/host_test.c
// cc: -fno-sanitize-coverage=trace-cmp
// fuzz: -max_len=512
#include <stdio.h>

#include "devices/virtio_net.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/virtio_steps.h"
#include "tests/unit/virtio_pci_driver.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define PAIRS 2u
#define SIZE  256u    // entries of a ring
#define USED  32u     // of its descriptors
#define RINGS 0x1000u // five of three pages each

struct machine {
	struct host *h;
	struct virtio_net n;
	struct virtio_pci fn;
};

static const u8 addr[NET_ADDR] = {2, 0, 0, 0, 0, 1};
static const u64 tables[] = {0x1000, 0x4000, 0x7000, 0xa000, 0xd000};

static void machine_init(struct machine *m, struct host *h)
{
	m->h = h;
	virtio_net_init(&m->n, h, &h->net, addr, PAIRS);
	virtio_pci_init(&m->fn, &m->n.dev, 2);
}

static void driver_start(struct machine *m, u64 refused)
{
	struct pci_driver d;

	MUST(driver_find(&d, &m->fn));
	driver_msix(&d, 2 * PAIRS + 2);
	MUST(driver_negotiate(&d, ~refused));
	for (u16 i = 0; i < ARRAY_SIZE(tables); i++)
		driver_queue(&d, i, SIZE, tables[i], (u16)(i + 1));
	driver_ok(&d);
}

static void invariants(const struct machine *m)
{
	const struct virtio_net *n = &m->n;

	MUST(n->active_pairs >= 1 && n->active_pairs <= n->pairs);
	MUST(n->filter.addrs[0] <= VIRTIO_NET_ADDRS + 1 &&
		n->filter.addrs[1] <= VIRTIO_NET_ADDRS + 1);
	for (unsigned i = 0; i < n->dev.queues; i++)
		MUST(!n->queue[i].broken || n->dev.status & VIRTIO_NEEDS_RESET);
}

// A chain of up to four descriptors, made available as a good driver would, now and then many times, and a notification.
static void chain_add(struct machine *m, struct input *in, u8 queue, bool kick)
{
	u64 rings = tables[queue];
	u8 times = input_u8(in), first = times % USED, count = (u8)(1 + input_u8(in) % 4);
	u16 idx = 0, head = first;

	for (u8 i = 0; i < count; i++) {
		u8 flags = input_u8(in);
		struct {
			u64 addr;
			u32 len;
			u16 flags, next;
		} d = {0x10000 + (u64)(input_u8(in) * 64u),
			flags & 0x80 ? input_u16(in) : input_u8(in), flags & 2,
			(u16)((first + i + 1) % USED)};

		if (i + 1 < count)
			d.flags |= 1;
		if (flags & 0x40)
			d.flags = flags & 7;
		host_guest_write(m->h, rings + 16ull * ((first + i) % USED), &d, sizeof(d));
	}
	host_guest_read(m->h, rings + 0x1002, &idx, 2);
	for (u8 n = times >= 0xe0 ? 6 * (times % USED) : 1; n; n--, idx++)
		host_guest_write(m->h, rings + 0x1004 + 2ull * (idx % SIZE), &head, 2);
	host_guest_write(m->h, rings + 0x1002, &idx, 2);
	if (kick)
		virtio_pci_ops.bar_write(&m->fn, 0, VIRTIO_PCI_NOTIFY + 4u * queue, 2, queue);
}

// What a chain may hold: a header with offload and a TCP segment, or a command.
static void content_put(struct machine *m, struct input *in)
{
	u8 op = input_u8(in), bytes[80] = {0};
	struct virtio_net_header h = {0};
	u64 at = 0x10000 + (u64)(input_u8(in) * 64u);

	if (op & 1) {
		h.offload = (struct net_offload){1, op & 2 ? 1 : 4, 0, input_u16(in), 34, 16};
		if (op & 4)
			h.offload.csum_start = input_u16(in);
		memcpy(bytes, &h, sizeof(h));
		net_put16(bytes + 24, op & 2 ? NET_TYPE_IPV4 : NET_TYPE_IPV6);
		bytes[26] = op & 2 ? 0x45 : 0x60;
		bytes[35] = bytes[32] = 6;
		bytes[58] = 0x50;
	} else {
		bytes[0] = input_u8(in) % 6;
		bytes[1] = input_u8(in) % 7;
		bytes[2] = input_u8(in);
	}
	for (u32 i = op >> 4; i; i--)
		bytes[input_u8(in) % sizeof(bytes)] = input_u8(in);
	host_guest_write(m->h, at, bytes, sizeof(bytes));
}

// From the host: a frame that passed the check, offered until it is taken or the driver has no buffers.
static void frame_receive(struct machine *m, struct input *in)
{
	static u8 rest[NET_FRAME_MAX];
	struct net_segment seg = {rest, 0};
	struct net_frame f = {.seg = &seg, .segs = 1};
	u8 op = input_u8(in);
	u32 packet = 0, before;

	f.length = op & 1 ? input_u16(in) : 60u + input_u8(in);
	f.head_len = MIN(f.length, NET_HEAD);
	seg.len = f.length - f.head_len;
	f.head[5] = input_u8(in) % 4;
	f.head[0] = op & 2;
	net_put16(f.head + 12, NET_TYPE_IPV4);
	f.head[14] = 0x45;
	f.head[23] = 6;
	f.head[46] = 0x50;
	if (op & 4)
		f.offload = (struct net_offload){
			1, op & 8 ? NET_GSO_TCPV4 : 0, 0, input_u16(in), 34, 16};
	if (!net_offload_check(&f))
		return;
	for (unsigned i = 0; i < 3; i++) {
		before = packet;
		if (virtio_net_receive(&m->n, &f, &packet) == VIRTIO_NET_TAKEN)
			break;
		MUST(packet >= before && packet <= NET_FRAME_MAX / NET_GSO_MIN + 1);
		chain_add(m, in, 0, true);
	}
	virtio_net_receive_end(&m->n);
}

static void move(struct machine *m, struct input *in, bool damage)
{
	static struct virtio_net_state ns;
	struct virtio_pci_state ps;
	bool ok;

	virtio_net_save(&m->n, &ns);
	virtio_pci_save(&m->fn, &ps);
	if (damage) {
		((u8 *)&ns)[input_u16(in) % sizeof(ns)] ^= input_u8(in);
		((u8 *)&ps)[input_u16(in) % sizeof(ps)] ^= input_u8(in);
	}
	virtio_net_destroy(&m->n);
	machine_init(m, m->h);
	ok = virtio_net_load(&m->n, &ns) && virtio_pci_load(&m->fn, &ps);
	MUST(ok || damage);
	if (!ok)
		virtio_pci_ops.reset(&m->fn);
}

static void step(struct machine *m, struct input *in)
{
	u8 op = input_u8(in), arg = op >> 4;
	unsigned size = 1u << (arg & 3);

	switch (op & 15) {
	case 0:
	case 1:
	case 2:
	case 3:
		chain_add(m, in, arg % ARRAY_SIZE(tables), op & 1);
		break;
	case 4:
	case 5:
	case 6:
		content_put(m, in);
		break;
	case 7:
	case 8:
		frame_receive(m, in);
		break;
	case 9:
		step_bar_write(&m->fn, in, size);
		step_bar_read(&m->fn, in, size);
		break;
	case 10:
		virtio_pci_ops.bar_write(&m->fn, 1, input_u8(in) % 13u, MIN(size, 4u), arg % 7);
		break;
	case 11: {
		u64 v = input_u64(in);

		host_guest_write(m->h, RINGS + input_u16(in) % 0xf000u, &v, 1 + arg % 8);
		break;
	}
	case 12:
		virtio_net_set_link(&m->n, arg & 1);
		break;
	case 13:
		host_test_advance(m->h, (u64)arg * 20000);
		break;
	case 14:
		if (arg & 1)
			driver_start(m, input_u32(in));
		else
			step_config_write(&m->fn, in, size);
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

	if (!h)
		h = host_test_create();
	host_test_clear(h);
	machine_init(&m, h);
	driver_start(&m, input_u32(&in));
	while (in.left)
		step(&m, &in);
	virtio_net_destroy(&m.n);
	return 0;
}
