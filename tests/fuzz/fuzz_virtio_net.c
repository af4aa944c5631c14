// SPDX-License-Identifier: MIT
// A virtio-net behind its PCI function: rings, commands and registers by a hostile driver, frames from the host, the
// link and time in any order; and its saved state, as it is and damaged.
// link: devices/virtio_net.c devices/virtio_net_tx.c devices/virtio_pace.c devices/virtio_net_rx.c devices/virtio_net_control.c
// link: devices/virtio_net_flow.c net/offload.c net/checksum.c net/frame.c
// link: devices/virtio_pci.c devices/virtio_pci_common.c devices/virtio_pci_state.c
// link: devices/virtio.c devices/virtqueue.c devices/pci_config.c devices/msix.c
// link: devices/host_test/host_test.c
// cc: -fno-sanitize-coverage=trace-cmp
// fuzz: -max_len=512
#include "devices/virtio_net.h"
#include "tests/fuzz/virtio_steps.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define PAIRS 2u
#define SIZE  256u    // entries of a ring
#define USED  32u     // of its descriptors
#define RINGS 0x1000u // five of three pages each

static const u64 tables[] = {0x1000, 0x4000, 0x7000, 0xa000, 0xd000};

static struct virtio_net net;

static void init(void)
{
	static const u8 addr[NET_ADDR] = {2, 0, 0, 0, 0, 1};

	virtio_net_init(&net, host, &host->net, addr, PAIRS);
	virtio_pci_init(&fn, &net.dev, 2);
}

static void destroy(void)
{
	virtio_net_destroy(&net);
}

static bool save(void *state)
{
	virtio_net_save(&net, state);
	return true;
}

static bool load(const void *state)
{
	return virtio_net_load(&net, state);
}

// The input says which features it refuses.
static void start(struct input *in)
{
	struct pci_driver d;

	MUST(driver_find(&d, &fn));
	driver_msix(&d, 2 * PAIRS + 2);
	MUST(driver_negotiate(&d, ~(u64)input_u32(in)));
	for (u16 i = 0; i < ARRAY_SIZE(tables); i++)
		driver_queue(&d, i, SIZE, tables[i], (u16)(i + 1));
	driver_ok(&d);
}

static void check(void)
{
	MUST(net.active_pairs >= 1 && net.active_pairs <= net.pairs);
	MUST(net.filter.addrs[0] <= VIRTIO_NET_ADDRS + 1 &&
		net.filter.addrs[1] <= VIRTIO_NET_ADDRS + 1);
}

// A chain of up to four descriptors, made available as a good driver would, now and then many times, and a notification.
static void chain_add(struct input *in, u8 queue, bool kick)
{
	u8 times = input_u8(in), first = times % USED, count = (u8)(1 + input_u8(in) % 4);

	for (u8 i = 0; i < count; i++) {
		u8 flags = input_u8(in);
		struct fuzz_desc d = {0x10000 + (u64)(input_u8(in) * 64u),
			flags & 0x80 ? input_u16(in) : input_u8(in), flags & 2,
			(u16)((first + i + 1) % USED)};

		if (i + 1 < count)
			d.flags |= D_NEXT;
		if (flags & 0x40)
			d.flags = flags & 7;
		desc_write(tables[queue], (first + i) % USED, &d);
	}
	head_publish(tables[queue] + 0x1000, SIZE, first, times >= 0xe0 ? 6 * first : 1);
	if (kick)
		virtio_pci_ops.bar_write(&fn, 0, VIRTIO_PCI_NOTIFY + 4u * queue, 2, queue);
}

// What a chain may hold: a header with offload and a TCP segment, or a command.
static void content_put(struct input *in)
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
	host_guest_write(host, at, bytes, sizeof(bytes));
}

// From the host: a frame that passed the check, offered until it is taken or the driver has no buffers.
static void frame_receive(struct input *in)
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
		if (virtio_net_receive(&net, &f, &packet) == VIRTIO_NET_TAKEN)
			break;
		MUST(packet >= before && packet <= NET_FRAME_MAX / NET_GSO_MIN + 1);
		chain_add(in, 0, true);
	}
	virtio_net_receive_end(&net);
}

static void step(u8 op, struct input *in)
{
	u8 arg = op >> 4;
	unsigned size = 1u << (arg & 3);

	switch (op & 15) {
	case 0:
	case 1:
	case 2:
	case 3:
		chain_add(in, arg % ARRAY_SIZE(tables), op & 1);
		break;
	case 4:
	case 5:
	case 6:
		content_put(in);
		break;
	case 7:
	case 8:
		frame_receive(in);
		break;
	case 9:
		step_bar_write(in, size);
		step_bar_read(in, size);
		break;
	case 10:
		virtio_pci_ops.bar_write(&fn, 1, input_u8(in) % 13u, MIN(size, 4u), arg % 7);
		break;
	case 11: {
		u64 v = input_u64(in);

		host_guest_write(host, RINGS + input_u16(in) % 0xf000u, &v, 1 + arg % 8);
		break;
	}
	case 12:
		virtio_net_set_link(&net, arg & 1);
		break;
	case 13:
		host_test_advance(host, (u64)arg * 20000);
		break;
	case 14:
		if (arg & 1)
			start(in);
		else
			step_config_write(in, size);
		break;
	case 15:
		step_reset_or_move(in, arg);
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const struct fuzz_device device = {
		FUZZ_DEVICE(struct virtio_net_state), .check = check};

	return fuzz_virtio(&device, data, size);
}
