// SPDX-License-Identifier: MIT
// virtio-net behind its PCI function, as a guest's driver and as a host see it.
// link: devices/virtio_net.c devices/virtio_net_tx.c devices/virtio_pace.c devices/virtio_net_rx.c devices/virtio_net_control.c
// link: devices/virtio_net_flow.c net/offload.c net/checksum.c net/frame.c
// link: devices/virtio_pci.c devices/virtio_pci_common.c devices/virtio_pci_state.c
// link: devices/virtio.c devices/virtqueue.c devices/pci_config.c devices/msix.c
// link: devices/host_test/host_test.c
#include "tests/unit/test.h"

#include "devices/virtio_net.h"
#include "tests/unit/virtio_pci_driver.h"

#define RX_RING 0x1000u
#define TX_RING 0x4000u
#define CTRL    0x7000u
#define DATA    0xa000u // ten pages, then the hole
#define RING    64u
#define ME      0x525400000001ull
#define HOLE    (HOST_TEST_HOLE * PAGE_SIZE)

struct rig {
	struct host *h;
	struct virtio_net n;
	struct virtio_pci fn;
	struct pci_driver d;
	struct ring rx, tx, ctrl;
};

static const u8 addr[] = {0x52, 0x54, 0, 0, 0, 1};

static struct rig *rig_create(unsigned pairs)
{
	struct rig *g = calloc(1, sizeof(*g));

	if (!g)
		abort();
	g->h = host_test_create();
	virtio_net_init(&g->n, g->h, &g->h->net, addr, pairs);
	virtio_pci_init(&g->fn, &g->n.dev, 2);
	return g;
}

static void rig_start(struct rig *g, u64 features)
{
	CHECK(driver_find(&g->d, &g->fn));
	driver_msix(&g->d, g->n.dev.queues + 1u);
	CHECK(driver_negotiate(&g->d, features));
	reg_put(&g->d, C_MSIX, 2, 0);
	g->rx = driver_queue(&g->d, 0, RING, RX_RING, 1);
	g->tx = driver_queue(&g->d, 1, RING, TX_RING, 2);
	g->ctrl = driver_queue(&g->d, (u16)virtio_net_control_queue(&g->n), RING, CTRL, 3);
	driver_ok(&g->d);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 15);
}

static void rig_free(struct rig *g)
{
	virtio_net_destroy(&g->n);
	host_test_destroy(g->h);
	free(g);
}

// A TCP segment of `payload` bytes over IPv4 to `dst`, with the sum of its pseudo header.
static u8 packet[NET_FRAME_MAX];

static u32 packet_make(u64 dst, u32 payload)
{
	u32 len = 54 + payload, sum = 6 + 20 + payload;

	memset(packet, 0, 54);
	net_put16(packet, (u16)(dst >> 32));
	net_put32(packet + 2, (u32)dst);
	packet[6] = 2;
	net_put16(packet + 12, NET_TYPE_IPV4);
	packet[14] = 0x45;
	net_put16(packet + 16, (u16)(len - 14));
	packet[23] = 6;
	net_put32(packet + 26, 0x0a000001);
	net_put32(packet + 30, 0x0a000002);
	packet[46] = 0x50;
	for (u32 i = 54; i < len; i++)
		packet[i] = (u8)(i * 13 + i / 256);
	for (u32 i = 26; i < 34; i += 2)
		sum += net_get16(packet + i);
	sum = (sum & 0xffff) + (sum >> 16);
	net_put16(packet + 50, (u16)((sum & 0xffff) + (sum >> 16)));
	return len;
}

static const struct net_offload want_sum = {
	.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
static const struct net_offload want_cut = {.flags = NET_NEEDS_CSUM,
	.gso_type = NET_GSO_TCPV4,
	.gso_size = 1000,
	.csum_start = 34,
	.csum_offset = 16};

// ---------------------------------------------------------------- sending

// The packet, cut into two descriptors behind `cut` bytes (0: one), and a notification. True when the chain came back.
static bool transmit(struct rig *g, struct net_offload o, u32 len, u32 cut)
{
	struct virtio_net_header h = {.offload = o};
	u32 head, used;
	u16 first = g->tx.next_desc % RING, second = (u16)(first + 1) % RING;

	host_guest_write(g->h, DATA, &h, sizeof(h));
	host_guest_write(g->h, DATA + sizeof(h), packet, len);
	len += (u32)sizeof(h);
	desc_put(g->h, TX_RING, first, DATA, cut ? cut : len, cut ? D_NEXT : 0, second);
	desc_put(g->h, TX_RING, second, DATA + cut, len - cut, 0, 0);
	g->tx.next_desc = (u16)(g->tx.next_desc + 2);
	ring_publish(&g->tx, first);
	driver_kick(&g->d, 1);
	return ring_used(&g->tx, &head, &used) && head == first && !used;
}

TEST(frames_go_out)
{
	static const u32 cuts[] = {0, 1, 12, 26, 40, 76, 77, 200};

	for (unsigned f = 0; f < 2; f++) {
		struct rig *g = rig_create(1);

		rig_start(g, f ? ~0ull : 0);
		for (unsigned i = 0; i < ARRAY_SIZE(cuts); i++) {
			u32 len = packet_make(NET_BROADCAST, 300 + i);

			CHECK(transmit(g, (struct net_offload){0}, len, cuts[i]));
			CHECK_EQ(g->h->net_frames, i + 1);
			CHECK_EQ(g->h->net_last.length, len);
			CHECK_EQ(g->h->net_last.head_len, NET_HEAD);
			CHECK(!memcmp(g->h->net_bytes, packet, len));
		}
		CHECK_EQ(g->h->msis, 0); // not at once
		host_test_advance(g->h, VIRTIO_NET_TELL_NS);
		host_test_advance(g->h, VIRTIO_NET_TELL_NS);
		CHECK(g->h->msis == 1 && g->h->msi[0].data == 0x42);
		host_test_advance(g->h, 10 * VIRTIO_NET_TELL_NS);
		CHECK_EQ(g->h->msis, 1);
		rig_free(g);
	}
}

TEST(what_was_sent_is_told_later)
{
	struct rig *g = rig_create(1);

	rig_start(g, ~0ull);
	// The driver has taken back all when it sends again: it is never told.
	for (u16 i = 0; i < 100; i++) {
		used_event_set(&g->tx, i);
		CHECK(transmit(g, (struct net_offload){0}, packet_make(ME, 100), 0));
		host_test_advance(g->h, VIRTIO_NET_TELL_NS / 2);
	}
	CHECK_EQ(g->h->msis, 0);
	host_test_advance(g->h, VIRTIO_NET_TELL_NS);
	host_test_advance(g->h, VIRTIO_NET_TELL_NS);
	CHECK_EQ(g->h->msis, 1);
	// It waits: for so many frames, or bytes, at most.
	used_event_set(&g->tx, 100);
	for (u32 i = 0; i < VIRTIO_NET_UNTOLD; i++) {
		CHECK_EQ(g->h->msis, 1);
		CHECK(transmit(g, (struct net_offload){0}, packet_make(ME, 100), 0));
	}
	CHECK_EQ(g->h->msis, 2);
	used_event_set(&g->tx, 100 + VIRTIO_NET_UNTOLD);
	CHECK(transmit(g, want_cut, packet_make(ME, 30000), 0));
	CHECK(transmit(g, want_cut, packet_make(ME, 30000), 0));
	CHECK_EQ(g->h->msis, 2);
	CHECK(transmit(g, want_cut, packet_make(ME, 30000), 0));
	CHECK_EQ(g->h->msis, 3);
	rig_free(g);
}

TEST(offloads_go_out_if_negotiated)
{
	struct rig *g = rig_create(1);
	u32 len = packet_make(NET_BROADCAST, 20000);

	rig_start(g, ~0ull);
	CHECK(transmit(g, want_cut, len, 66));
	CHECK_EQ(g->h->net_last.length, len);
	CHECK_EQ(g->h->net_last.offload.hdr_len, 54);
	CHECK_EQ(g->h->net_last.offload.gso_size, 1000);
	CHECK(!memcmp(g->h->net_bytes, packet, len));
	CHECK(transmit(g, want_sum, packet_make(NET_BROADCAST, 100), 0));
	CHECK_EQ(g->h->net_last.offload.csum_start, 34);
	CHECK_EQ(g->h->net_frames, 2);
	rig_free(g);

	g = rig_create(1);
	rig_start(g, ~(VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4));
	CHECK(transmit(g, want_sum, len, 0));
	CHECK(transmit(g, want_cut, len, 0));
	CHECK_EQ(g->h->net_frames, 0);
	CHECK_EQ(g->n.dropped_bad, 2);
	rig_free(g);
}

TEST(nonsense_goes_nowhere)
{
	struct rig *g = rig_create(1);
	struct net_offload o = want_cut;

	rig_start(g, ~0ull);
	packet_make(NET_BROADCAST, 3000);
	CHECK(transmit(g, (struct net_offload){0}, 13, 0));
	CHECK(transmit(g,
		(struct net_offload){.flags = 1, .csum_start = 65535, .csum_offset = 65535}, 3054,
		0));
	o.gso_size = 0;
	CHECK(transmit(g, o, 3054, 0));
	o = want_cut, o.gso_type = 7;
	CHECK(transmit(g, o, 3054, 0));
	CHECK_EQ(g->h->net_frames, 0);
	CHECK_EQ(g->n.dropped_bad, 4);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 15);
	ring_add(&g->tx, HOLE - 40, 500, 0); // header and addresses are there, the rest is not
	driver_kick(&g->d, 1);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 15 | 0x40);
	CHECK_EQ(g->h->net_frames, 0);
	rig_free(g);
}

TEST(a_call_sends_a_queue_full)
{
	struct rig *g = rig_create(1);

	rig_start(g, ~0ull);
	packet_make(NET_BROADCAST, 10);
	host_guest_write(g->h, DATA + VIRTIO_NET_HEADER, packet, 64);
	for (unsigned i = 0; i < RING; i++)
		ring_add(&g->tx, DATA, 12 + 64, 0);
	driver_kick(&g->d, 1);
	CHECK_EQ(g->h->net_frames, RING);
	rig_free(g);
}

TEST(a_call_sends_so_many_bytes)
{
	struct rig *g = rig_create(1);
	struct virtio_net_header h = {.offload = want_cut};

	rig_start(g, ~0ull);
	packet_make(ME, 10);
	host_guest_write(g->h, DATA, &h, sizeof(h));
	host_guest_write(g->h, DATA + sizeof(h), packet, 64);
	for (u16 i = 0; i < 60; i += 2) { // 40,000 bytes each, all the same memory
		desc_put(g->h, TX_RING, i, DATA, 40000, 0, 0);
		ring_publish(&g->tx, i);
	}
	driver_kick(&g->d, 1);
	CHECK_EQ(g->h->net_frames, VIRTIO_NET_BYTES / (40000 - 12) + 1);
	host_test_advance(g->h, VIRTIO_NET_PAUSE_NS);
	CHECK_EQ(g->h->net_frames, 30);
	rig_free(g);
}

// ---------------------------------------------------------------- notifications of several frames

// A frame of so many bytes; the driver notifies if the event index asks for it. Whether it did.
static bool put(struct rig *g, u32 bytes)
{
	u16 asked = get16(g->h, TX_RING + 0x2000 + 4 + 8 * RING), before;

	before = get16(g->h, TX_RING + 0x1002);
	desc_put(g->h, TX_RING, before % RING, DATA, bytes, 0, 0);
	ring_publish(&g->tx, before % RING);
	if (asked != before)
		return false;
	driver_kick(&g->d, 1);
	return true;
}

static struct rig *pace_rig(bool host_rests)
{
	struct virtio_net_header h = {.offload = want_cut};
	struct rig *g = rig_create(1);

	g->h->net_rests = host_rests;
	rig_start(g, ~0ull);
	packet_make(ME, 10);
	host_guest_write(g->h, DATA, &h, sizeof(h));
	host_guest_write(g->h, DATA + sizeof(h), packet, 64);
	return g;
}

TEST(large_frames_are_notified_together)
{
	struct rig *g = pace_rig(true);
	unsigned kicks = 0;

	for (unsigned i = 0; i < 500; i++) {
		kicks += put(g, 20000);
		CHECK(g->h->net_frames + VIRTIO_NET_GOAL > i);
	}
	CHECK(kicks > 500 / VIRTIO_NET_GOAL && kicks < 60);
	CHECK(g->h->net_rest);
	// What is not told of is seen when the guest sleeps, ...
	while (put(g, 20000))
		;
	CHECK(g->h->net_frames < 500 + kicks);
	virtio_net_rest(&g->n);
	CHECK_EQ(g->h->net_frames, get16(g->h, TX_RING + 0x1002));
	// ... or after a while.
	while (put(g, 20000))
		;
	host_test_advance(g->h, VIRTIO_NET_LOOK_NS);
	CHECK_EQ(g->h->net_frames, get16(g->h, TX_RING + 0x1002));
	rig_free(g);
}

// One who waits after each frame, however long, is seen at once but in rare trials; a short frame always.
TEST(single_frames_are_notified)
{
	struct rig *g = pace_rig(true);
	unsigned kicks = 0;

	for (unsigned i = 1; i <= 2000; i++) {
		kicks += put(g, 20000);
		virtio_net_rest(&g->n);
		CHECK_EQ(g->h->net_frames, i);
	}
	CHECK(kicks > 1970);
	virtio_net_rest(&g->n);
	for (unsigned i = 0; i < 200; i++) {
		virtio_net_rest(&g->n);
		put(g, 76);
		virtio_net_rest(&g->n);
		CHECK(put(g, 76));
	}
	rig_free(g);
}

TEST(a_host_that_cannot_tell_is_notified)
{
	struct rig *g = pace_rig(false);

	for (unsigned i = 0; i < 500; i++)
		CHECK(put(g, 20000));
	CHECK_EQ(g->h->net_frames, 500);
	rig_free(g);
}

// ---------------------------------------------------------------- receiving

static enum virtio_net_taken receive(struct rig *g, struct net_offload o, u32 len, u32 *done)
{
	struct net_segment seg = {packet + MIN(len, NET_HEAD), len - MIN(len, NET_HEAD)};
	struct net_frame f = {.length = len,
		.head_len = MIN(len, NET_HEAD),
		.offload = o,
		.seg = &seg,
		.segs = 1};
	enum virtio_net_taken taken;

	memcpy(f.head, packet, f.head_len);
	taken = virtio_net_receive(&g->n, &f, done);
	virtio_net_receive_end(&g->n);
	return taken;
}

// A buffer for `len` bytes in the i-th kilobyte of the data.
static void buffer_add(struct rig *g, unsigned i, u32 len)
{
	ring_add(&g->rx, DATA + 1024 * i, len, D_WRITE);
}

TEST(frames_come_in)
{
	static u8 seen[2000];
	struct virtio_net_header h;
	struct rig *g = rig_create(1);
	u32 head, used, done = 0, len = packet_make(ME, 500);

	CHECK_EQ(receive(g, want_sum, len, &done), VIRTIO_NET_TAKEN); // nobody there yet
	rig_start(g, ~0ull);
	buffer_add(g, 0, 1024);
	CHECK_EQ(receive(g, want_sum, len, &done), VIRTIO_NET_TAKEN);
	CHECK(ring_used(&g->rx, &head, &used));
	CHECK_EQ(used, len + 12);
	host_guest_read(g->h, DATA, &h, 12);
	host_guest_read(g->h, DATA + 12, seen, len);
	CHECK(h.buffers == 1 && h.offload.flags == NET_NEEDS_CSUM && h.offload.csum_start == 34);
	CHECK(!memcmp(seen, packet, len));
	CHECK_EQ(g->h->msis, 1);
	CHECK_EQ(g->h->msi[0].data, 0x41);
	// No buffer: the host is told when there is one.
	CHECK_EQ(receive(g, want_sum, len, &done), VIRTIO_NET_FULL);
	done = g->h->net_rooms;
	buffer_add(g, 0, 1024);
	driver_kick(&g->d, 0);
	CHECK_EQ(g->h->net_rooms, done + 1);
	done = 0;
	CHECK_EQ(receive(g, want_sum, len, &done), VIRTIO_NET_TAKEN);
	CHECK(ring_used(&g->rx, &head, &used));
	rig_free(g);
}

// A frame that the host puts into the guest's memory itself, but for its head.
static void place(const struct virtio_net_piece *piece, u32 pieces, u32 len, struct net_frame *f,
	struct net_segment *seg)
{
	u32 done = NET_HEAD;

	*f = (struct net_frame){
		.length = len, .head_len = NET_HEAD, .offload = want_cut, .seg = seg};
	memcpy(f->head, packet, NET_HEAD);
	for (; done < len && f->segs < pieces; f->segs++) {
		u32 part = MIN(len - done, piece[f->segs].len);

		memcpy(piece[f->segs].at, packet + done, part);
		seg[f->segs] = (struct net_segment){piece[f->segs].at, part};
		done += part;
	}
	CHECK_EQ(done, len);
}

#define BUFFER 3000u

TEST(frames_are_placed)
{
	static struct virtio_net_piece piece[VIRTIO_NET_PLACES];
	static struct net_segment seg[VIRTIO_NET_PLACES];
	static u8 seen[5054 + 12];
	struct rig *g = rig_create(1);
	struct virtio_net_header h;
	u32 len = packet_make(ME, 5000), pieces, head, used;
	struct net_frame f;

	CHECK_EQ(virtio_net_place(&g->n, piece), 0); // nobody there yet
	rig_start(g, ~0ull);
	for (unsigned i = 0; i < 21; i++)
		ring_add(&g->rx, DATA + BUFFER * (i % 4), BUFFER, D_WRITE);
	CHECK_EQ(virtio_net_place(&g->n, piece), 0); // not enough for the longest frame
	for (unsigned i = 21; i < 28; i++)
		ring_add(&g->rx, DATA + BUFFER * (i % 4), BUFFER, D_WRITE);
	for (unsigned round = 0; round < 3; round++) {
		pieces = virtio_net_place(&g->n, piece);
		CHECK(pieces > 22);
		place(piece, pieces, len, &f, seg);
		CHECK(virtio_net_receive_placed(&g->n, &f));
		CHECK(ring_used(&g->rx, &head, &used) && used == BUFFER);
		CHECK(ring_used(&g->rx, &head, &used) && used == len + 12 - BUFFER);
		CHECK(!ring_used(&g->rx, &head, &used));
		host_guest_read(g->h, DATA + 2 * BUFFER * (round % 2), seen, len + 12);
		memcpy(&h, seen, 12);
		CHECK(h.buffers == 2 && h.offload.gso_size == 1000);
		CHECK(!memcmp(seen + 12, packet, len));
	}
	virtio_net_receive_end(&g->n);
	CHECK_EQ(g->h->msis, 1);
	// One that nobody wants takes nothing.
	pieces = virtio_net_place(&g->n, piece);
	place(piece, pieces, len, &f, seg);
	virtio_net_set_link(&g->n, false);
	CHECK(virtio_net_receive_placed(&g->n, &f));
	virtio_net_set_link(&g->n, true);
	CHECK(!ring_used(&g->rx, &head, &used));
	// Another that came by copying is not in the way.
	packet_make(ME, 500);
	len = 0;
	CHECK_EQ(receive(g, want_sum, 554, &len), VIRTIO_NET_TAKEN);
	CHECK(ring_used(&g->rx, &head, &used) && used == 554 + 12);
	CHECK_EQ(virtio_net_place(&g->n, piece), 0); // 21 buffers are left
	rig_free(g);
}

// What the driver cannot take over is not for placing.
TEST(frames_to_be_cut_are_not_placed)
{
	static struct virtio_net_piece piece[VIRTIO_NET_PLACES];
	static struct net_segment seg[VIRTIO_NET_PLACES];
	struct rig *g = rig_create(1);
	u32 len = packet_make(ME, 5000), pieces, head, used;
	struct net_frame f;

	rig_start(g, ~VIRTIO_NET_F_GUEST_TSO4);
	for (unsigned i = 0; i < 28; i++)
		ring_add(&g->rx, DATA + BUFFER * (i % 4), BUFFER, D_WRITE);
	pieces = virtio_net_place(&g->n, piece);
	place(piece, pieces, len, &f, seg);
	CHECK(!virtio_net_receive_placed(&g->n, &f));
	CHECK(!ring_used(&g->rx, &head, &used));
	rig_free(g);
}

// A buffer that is not RAM is nowhere to place.
TEST(nothing_is_placed_outside_memory)
{
	static struct virtio_net_piece piece[VIRTIO_NET_PLACES];
	struct rig *g = rig_create(1);

	rig_start(g, ~0ull);
	for (unsigned i = 0; i < 10; i++)
		ring_add(&g->rx, DATA, BUFFER, D_WRITE);
	ring_add(&g->rx, HOLE - 1000, BUFFER, D_WRITE);
	for (unsigned i = 0; i < 20; i++)
		ring_add(&g->rx, DATA, BUFFER, D_WRITE);
	CHECK_EQ(virtio_net_place(&g->n, piece), 0);
	rig_free(g);
}

TEST(buffers_are_merged)
{
	static u8 seen[9000];
	u64 features[] = {~0ull, ~VIRTIO_F_EVENT_IDX};

	for (unsigned k = 0; k < ARRAY_SIZE(features); k++) {
		struct rig *g = rig_create(1);
		struct virtio_net_header h;
		u32 head, used, done = 0, len = packet_make(ME, 5000), at = 0, rooms;

		rig_start(g, features[k]);
		for (unsigned i = 0; i < 3; i++)
			buffer_add(g, i, 1024);
		CHECK_EQ(receive(g, want_cut, len, &done), VIRTIO_NET_FULL);
		CHECK(!ring_used(&g->rx, &head, &used)); // all or nothing
		rooms = g->h->net_rooms;
		for (unsigned i = 3; i < 6; i++)
			buffer_add(g, i, 1024);
		if (features[k] & VIRTIO_F_EVENT_IDX)
			CHECK_EQ(avail_event_of(&g->rx), 3);
		else
			CHECK_EQ(used_flags_of(&g->rx), 0);
		driver_kick(&g->d, 0);
		CHECK_EQ(g->h->net_rooms, rooms + 1);
		CHECK_EQ(receive(g, want_cut, len, &done), VIRTIO_NET_TAKEN);
		for (unsigned i = 0; i < 5; i++) {
			CHECK(ring_used(&g->rx, &head, &used));
			CHECK_EQ(used, i < 4 ? 1024 : len + 12 - 4 * 1024);
			at += used;
		}
		CHECK(!ring_used(&g->rx, &head, &used));
		CHECK_EQ(at, len + 12);
		host_guest_read(g->h, DATA, &h, 12);
		host_guest_read(g->h, DATA + 12, seen, len);
		CHECK_EQ(h.buffers, 5);
		CHECK_EQ(h.offload.gso_type, NET_GSO_TCPV4);
		CHECK(!memcmp(seen, packet, len));
		rig_free(g);
	}
}

// One's complement sum of a packet's TCP part with its pseudo header.
static u32 tcp_sum(const u8 *p, u32 len)
{
	u32 sum = 6 + len - 34;

	for (u32 i = 26; i < len; i += 2)
		sum += (u32)p[i] << 8 | (i + 1 < len ? p[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

TEST(what_the_driver_lacks_is_done_for_it)
{
	static const u64 lacks[] = {VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4,
		VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_GUEST_TSO4};

	for (unsigned k = 0; k < ARRAY_SIZE(lacks); k++) {
		struct rig *g = rig_create(1);
		u32 head, used, done = 0, len = packet_make(ME, 4500), n = 0;
		struct virtio_net_header h;
		u8 seen[1100];

		rig_start(g, ~lacks[k]);
		for (unsigned i = 0; i < 3; i++)
			ring_add(&g->rx, DATA + 2048 * i, 2048, D_WRITE);
		CHECK_EQ(receive(g, want_cut, len, &done), VIRTIO_NET_FULL);
		CHECK_EQ(done, 3);
		for (unsigned i = 3; i < 6; i++)
			ring_add(&g->rx, DATA + 2048 * i, 2048, D_WRITE);
		driver_kick(&g->d, 0);
		CHECK_EQ(receive(g, want_cut, len, &done), VIRTIO_NET_TAKEN);
		for (; ring_used(&g->rx, &head, &used); n++) {
			CHECK_EQ(used, 12 + 54 + (n < 4 ? 1000 : 500));
			host_guest_read(g->h, DATA + 2048 * n, &h, 12);
			host_guest_read(g->h, DATA + 2048 * n + 12, seen, used - 12);
			CHECK(!h.offload.flags && !h.offload.gso_type && h.buffers == 1);
			CHECK_EQ(tcp_sum(seen, used - 12), 0xffff);
			CHECK(!memcmp(seen + 54, packet + 54 + 1000 * n, used - 66));
		}
		CHECK_EQ(n, 5);
		rig_free(g);
	}
}

TEST(hostile_receive)
{
	struct rig *g = rig_create(1);
	u32 done = 0, head, used, len = packet_make(ME, 1000);

	rig_start(g, ~0ull);
	for (unsigned i = 0; i < RING; i++)
		ring_add(&g->rx, DATA, 1, D_WRITE);
	CHECK_EQ(receive(g, want_sum, len, &done),
		VIRTIO_NET_TAKEN); // too long for so many of such buffers
	CHECK(!ring_used(&g->rx, &head, &used));
	rig_free(g);

	g = rig_create(1);
	rig_start(g, ~0ull);
	ring_add(&g->rx, DATA, 100, 0); // nothing to be written to
	ring_add(&g->rx, HOLE - 100, 2000, D_WRITE);
	CHECK_EQ(receive(g, want_sum, len, &done), VIRTIO_NET_TAKEN);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 15 | 0x40);
	CHECK_EQ(receive(g, want_sum, len, &done), VIRTIO_NET_TAKEN);
	CHECK(!ring_used(&g->rx, &head, &used));
	rig_free(g);
}

// ---------------------------------------------------------------- control

// A command with its data; returns the answer, 0xff: none.
static u8 control(struct rig *g, u8 class, u8 command, const void *data, u32 len)
{
	u8 h[2] = {class, command}, ack = 0xff;
	u32 head, used;

	host_guest_write(g->h, DATA, h, 2);
	host_guest_write(g->h, DATA + 2, data, len);
	host_guest_write(g->h, DATA + 4000, &ack, 1);
	desc_put(g->h, CTRL, 0, DATA, 2 + len, D_NEXT, 1);
	desc_put(g->h, CTRL, 1, DATA + 4000, 1, D_WRITE, 0);
	ring_publish(&g->ctrl, 0);
	driver_kick(&g->d, (u16)virtio_net_control_queue(&g->n));
	CHECK(ring_used(&g->ctrl, &head, &used) && used == 1);
	host_guest_read(g->h, DATA + 4000, &ack, 1);
	return ack;
}

// Does a frame to this address reach the driver?
static bool hears(struct rig *g, u64 dst)
{
	u32 head, used, done = 0;

	ring_add(&g->rx, DATA + 4096, 2048, D_WRITE);
	CHECK_EQ(receive(g, (struct net_offload){0}, packet_make(dst, 100), &done),
		VIRTIO_NET_TAKEN);
	return ring_used(&g->rx, &head, &used);
}

TEST(filter)
{
	static const u8 table[] = {
		1, 0, 0, 0, 0x52, 0x54, 0, 0, 0, 9, 1, 0, 0, 0, 0x33, 0x33, 0, 0, 0, 1};
	static u8 many[8 + 100 * 6] = {0, 0, 0, 0, 100};
	struct rig *g = rig_create(1);
	u8 on = 1, off = 0;

	rig_start(g, ~0ull);
	CHECK(hears(g, 0x525400000077) && hears(g, ME) && hears(g, NET_BROADCAST));
	CHECK_EQ(control(g, 0, 0, &off, 1), 0);
	CHECK(!hears(g, 0x525400000077) && hears(g, ME) && hears(g, NET_BROADCAST));
	CHECK(!hears(g, 0x333300000001) && !hears(g, 0x525400000009));
	CHECK_EQ(control(g, 1, 0, table, sizeof(table)), 0);
	CHECK(hears(g, 0x333300000001) && hears(g, 0x525400000009) && !hears(g, 0x333300000002));
	CHECK_EQ(control(g, 1, 0, many, sizeof(many)), 0);
	CHECK(hears(g, 0x333300000002) && !hears(g, 0x525400000009));
	CHECK_EQ(control(g, 0, 3, &on, 1), 0);
	CHECK(!hears(g, 0x333300000002));
	CHECK_EQ(control(g, 0, 5, &on, 1), 0);
	CHECK(!hears(g, NET_BROADCAST) && hears(g, ME));
	CHECK_EQ(control(g, 0, 4, &on, 1), 0);
	CHECK(!hears(g, ME));
	// After a reset all is heard again.
	rig_start(g, ~0ull);
	CHECK(hears(g, 0x525400000077) && hears(g, ME) && hears(g, NET_BROADCAST));
	rig_free(g);
}

TEST(bad_commands)
{
	static const u8 table[] = {2, 0, 0, 0, 0x52, 0x54, 0, 0, 0, 9, 0, 0, 0, 0};
	static const u8 huge[] = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0};
	static const u8 other[] = {0x52, 0x54, 0, 0, 0, 2}, two = 2;
	struct rig *g = rig_create(1);
	u8 pairs[2] = {1, 0};

	rig_start(g, ~0ull);
	CHECK_EQ(control(g, 0, 6, &two, 1), 1);
	CHECK_EQ(control(g, 0, 0, &two, 1), 1);
	CHECK_EQ(control(g, 0, 0, &two, 0), 1);
	CHECK_EQ(control(g, 1, 0, table, sizeof(table)), 1);
	CHECK_EQ(control(g, 1, 0, huge, sizeof(huge)), 1);
	CHECK_EQ(control(g, 1, 1, other, 6), 1); // the port is locked
	CHECK_EQ(control(g, 1, 1, addr, 6), 0);
	CHECK_EQ(control(g, 1, 2, addr, 6), 1);
	CHECK_EQ(control(g, 2, 0, pairs, 2), 1); // no VLAN filter
	CHECK_EQ(control(g, 4, 0, pairs, 2), 1); // one pair only: not offered
	CHECK_EQ(control(g, 77, 0, pairs, 2), 1);
	CHECK_EQ(g->n.filter.promisc, 1);
	CHECK_EQ(reg_get(&g->d, C_STATUS, 1), 15);
	rig_free(g);
}

TEST(several_pairs)
{
	static const u8 one[2] = {1, 0}, two[2] = {2, 0}, three[2] = {3, 0}, none[2] = {0, 0};
	struct rig *g = rig_create(2);
	struct ring rx1;
	u32 head, used, done = 0, len = packet_make(ME, 100);

	rig_start(g, ~0ull);
	CHECK_EQ(virtio_net_control_queue(&g->n), 4);
	CHECK_EQ(bar_get(&g->d, g->d.device + 8, 2), 2);
	CHECK_EQ(control(g, 4, 0, three, 2), 1);
	CHECK_EQ(control(g, 4, 0, none, 2), 1);
	CHECK_EQ(control(g, 4, 0, two, 2), 0);
	// What the second pair has sent is answered there.
	rx1 = driver_queue(&g->d, 2, 16, 0x11000, 4);
	g->n.flow[virtio_net_flow(packet, 64)] = 1;
	ring_add(&g->rx, DATA + 8192, 1024, D_WRITE);
	ring_add(&rx1, DATA + 8192 + 1024, 1024, D_WRITE);
	CHECK_EQ(receive(g, want_sum, len, &done), VIRTIO_NET_TAKEN);
	CHECK(ring_used(&rx1, &head, &used) && !ring_used(&g->rx, &head, &used));
	CHECK_EQ(control(g, 4, 0, one, 2), 0);
	CHECK_EQ(receive(g, want_sum, len, &done), VIRTIO_NET_TAKEN);
	CHECK(ring_used(&g->rx, &head, &used));
	// Without the feature the control queue is the third.
	rig_start(g, ~VIRTIO_NET_F_MQ);
	CHECK_EQ(virtio_net_control_queue(&g->n), 2);
	CHECK_EQ(control(g, 1, 1, addr, 6), 0);
	rig_free(g);
}

TEST(flows_have_two_directions)
{
	u8 back[64];

	packet_make(ME, 100);
	net_put16(packet + 34, 40000);
	net_put16(packet + 36, 80);
	memcpy(back, packet, 64);
	memcpy(back + 26, packet + 30, 4);
	memcpy(back + 30, packet + 26, 4);
	net_put16(back + 34, 80);
	net_put16(back + 36, 40000);
	CHECK_EQ(virtio_net_flow(packet, 64), virtio_net_flow(back, 64));
	net_put16(back + 36, 40001);
	CHECK(virtio_net_flow(packet, 64) != virtio_net_flow(back, 64));
	back[14] = 0x4f; // options up to behind what we see
	CHECK(virtio_net_flow(back, 64) < VIRTIO_NET_FLOWS);
	CHECK_EQ(virtio_net_flow(back, 20), 0);
}

// ---------------------------------------------------------------- the rest

TEST(link)
{
	struct rig *g = rig_create(1);
	u32 msis;

	rig_start(g, ~0ull);
	CHECK_EQ(bar_get(&g->d, g->d.device + 6, 2), 1);
	CHECK_EQ(bar_get(&g->d, g->d.device + 10, 2), 1500);
	for (unsigned i = 0; i < 6; i++)
		CHECK_EQ(bar_get(&g->d, g->d.device + i, 1), addr[i]);
	msis = g->h->msis;
	virtio_net_set_link(&g->n, false);
	CHECK_EQ(g->h->msis, msis + 1);
	CHECK_EQ(g->h->msi[msis].data, 0x40);
	CHECK_EQ(bar_get(&g->d, g->d.device + 6, 2), 0);
	CHECK_EQ(reg_get(&g->d, C_GENERATION, 1), 1);
	CHECK(!hears(g, ME));
	CHECK(transmit(g, (struct net_offload){0}, packet_make(ME, 100), 0));
	CHECK_EQ(g->h->net_frames, 0);
	virtio_net_set_link(&g->n, false);
	CHECK_EQ(g->h->msis, msis + 1);
	virtio_net_set_link(&g->n, true);
	CHECK(hears(g, ME));
	rig_free(g);
}

TEST(save_and_restore)
{
	static const u8 table[] = {0, 0, 0, 0, 1, 0, 0, 0, 0x33, 0x33, 0, 0, 0, 1}, off = 0;
	static struct virtio_net_state s;
	struct rig *g = rig_create(2), *n = calloc(1, sizeof(*n));
	struct virtio_pci_state ps;

	rig_start(g, ~0ull);
	control(g, 0, 0, &off, 1);
	control(g, 1, 0, table, sizeof(table));
	virtio_net_save(&g->n, &s);
	virtio_pci_save(&g->fn, &ps);
	virtio_net_destroy(&g->n);
	n->h = g->h;
	virtio_net_init(&n->n, n->h, &n->h->net, addr, 2);
	virtio_pci_init(&n->fn, &n->n.dev, 2);
	CHECK(virtio_net_load(&n->n, &s));
	CHECK(virtio_pci_load(&n->fn, &ps));
	n->d = g->d;
	n->d.fn = &n->fn;
	n->rx = g->rx;
	n->tx = g->tx;
	n->ctrl = g->ctrl;
	CHECK(hears(n, ME) && hears(n, 0x333300000001) && !hears(n, 0x333300000002));
	CHECK(transmit(n, want_sum, packet_make(NET_BROADCAST, 10), 0));
	CHECK_EQ(n->h->net_frames, 1);
	s.active_pairs = 3;
	CHECK(!virtio_net_load(&n->n, &s));
	s.active_pairs = 1;
	s.filter.addrs[1] = 66;
	CHECK(!virtio_net_load(&n->n, &s));
	free(g);
	rig_free(n);
}

TEST_MAIN()
