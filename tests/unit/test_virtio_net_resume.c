// SPDX-License-Identifier: MIT
// A virtio-net whose process is killed between any two instructions: whole packets come in, what was not given back is
// sent (again), and what commands have set stays.
// link: devices/virtio_net.c devices/virtio_net_tx.c devices/virtio_pace.c devices/virtio_net_rx.c devices/virtio_net_control.c
// link: devices/virtio_net_flow.c net/offload.c net/checksum.c net/frame.c devices/virtio.c devices/virtqueue.c
// link: devices/host_test/host_test.c
#include "tests/unit/test.h"

#include "devices/virtio_net.h"
#include "tests/unit/backend_driver.h"
#include "tests/unit/deaths.h"

#define RX      0x1000u
#define TX      0x1400u
#define CTRL    0x1800u
#define ENTRIES 16u
#define BUFFERS 0x2000u // of receive head n: + 64 * n
#define SENDS   0x3000u // of transmit head n: + 128 * n
#define COMMAND 0x3800u // of control head n: + 256 * n, descriptors 2n and 2n + 1
#define ACK     0x3f00u // of control head n: + n
#define FRAME   150u    // bytes: with its header three buffers
#define ME      0x525400000001ull
#define OTHER   0x525400000009ull

static const u8 addr[] = {0x52, 0x54, 0, 0, 0, 1};

static struct host *h;
static struct virtio_net net;
static struct backend backend;
static struct backend_account account;
static struct virtio_net_kept kept;
static struct {
	struct ring rx, tx, ctrl;
	u32 packets; // that were received
	u32 sent;    // that came back
	u32 acks, wrong;
} drv;

static void process_init(void)
{
	virtio_net_init(&net, h, &h->net, addr, 1);
	backend_init(&backend, &net.dev);
}

static bool process_resume(void)
{
	return virtio_net_resume(
		&net, &account.virtio, account.queue, account.log, &kept, account.life);
}

static void process_run(void)
{
	CHECK(process_resume());
	virtio_set_dma(&net.dev, true);
}

static void world_begin(void)
{
	h = host_test_create();
	memset(&drv, 0, sizeof(drv));
	memset(&kept, 0, sizeof(kept));
	process_init();
	account_init(&account, &net.dev, ~0ull);
	drv.rx = account_queue(&account, h, 0, ENTRIES, RX);
	drv.tx = account_queue(&account, h, 1, ENTRIES, TX);
	drv.ctrl = account_queue(&account, h, 2, ENTRIES, CTRL);
	process_run();
	CHECK_EQ(backend.interrupts[0] + backend.interrupts[1], 0);
}

static void world_end(void)
{
	virtio_net_destroy(&net);
	host_test_destroy(h);
}

static void world_remember(struct deaths *d)
{
	for (unsigned i = 1; i < 4; i++)
		deaths_memory(d, h->page[i], PAGE_SIZE);
	deaths_memory(d, &account, sizeof(account));
	deaths_memory(d, &kept, sizeof(kept));
	deaths_memory(d, &drv, sizeof(drv));
	deaths_memory(d, &h->net_frames, sizeof(h->net_frames));
}

// Memory is as at the i-th death, and another process is there, that does not run yet.
static void next_life(const struct deaths *d, unsigned i)
{
	virtio_net_destroy(&net);
	deaths_return(d, i);
	process_init();
}

// ---------------------------------------------------------------- receiving

static void receive(u8 id, u64 to)
{
	static u8 rest[FRAME];
	struct net_segment seg = {rest, FRAME - NET_HEAD};
	struct net_frame f = {.length = FRAME, .head_len = NET_HEAD, .seg = &seg, .segs = 1};
	u32 done = 0;

	memset(rest, id, sizeof(rest));
	memset(f.head, id, sizeof(f.head));
	net_put16(f.head, (u16)(to >> 32));
	net_put32(f.head + 2, (u32)to);
	if (virtio_net_receive(&net, &f, &done) != VIRTIO_NET_TAKEN)
		abort();
	virtio_net_receive_end(&net);
}

// Takes back what came, a packet after the other; the id of the last one. A packet of which a buffer is missing is wrong,
// or one of pieces of two.
static u8 packets_collect(void)
{
	struct virtio_net_header header;
	u32 head, len;
	u8 packet[1024], id = 0;

	while (ring_used(&drv.rx, &head, &len)) {
		u32 all = 0, left;

		host_guest_read(h, BUFFERS + 64 * head, &header, sizeof(header));
		left = header.buffers;
		do {
			if (len > 64 || all + len > sizeof(packet)) {
				drv.wrong++;
				return 0;
			}
			host_guest_read(h, BUFFERS + 64 * head, packet + all, len);
			all += len;
		} while (--left && ring_used(&drv.rx, &head, &len));
		id = packet[all - 1];
		drv.wrong += left || all != FRAME + VIRTIO_NET_HEADER || packet[40] != id;
		drv.packets++;
	}
	return id;
}

static void buffers_add(unsigned n)
{
	while (n--)
		ring_add(&drv.rx, BUFFERS + 64 * (drv.rx.next_desc % ENTRIES), 64, D_WRITE);
}

TEST(packets_come_whole)
{
	struct deaths d = {0};

	world_begin();
	buffers_add(ENTRIES);
	world_remember(&d);
	DEATHS_WATCH(&d, receive(1, ME));
	CHECK(d.count > 5);
	for (unsigned i = 0; i < d.count; i++) {
		next_life(&d, i);
		if (i & 1)
			packets_collect();
		process_run();
		CHECK(backend.interrupts[0]);
		receive(2, ME);
		receive(3, ME);
		CHECK_EQ(packets_collect(), 3);
		CHECK_EQ(drv.wrong, 0);
		CHECK(drv.packets == 3 ||
			(drv.packets == 2 && i + 1 < d.count)); // the first may be lost
		CHECK(!backend.config_interrupts);
	}
	deaths_free(&d);
	world_end();
}

TEST(a_survivor_asks_for_buffers)
{
	u32 rooms;

	world_begin();
	buffers_add(2);
	virtio_net_destroy(&net);
	rooms = h->net_rooms;
	process_init();
	process_run();
	CHECK(h->net_rooms > rooms); // the network offers again what it has
	world_end();
}

// ---------------------------------------------------------------- sending

static void frames_put(unsigned n)
{
	u8 frame[VIRTIO_NET_HEADER + 80] = {0};

	for (unsigned i = 0; i < n; i++) {
		u64 gpa = SENDS + 128ull * (drv.tx.next_desc % ENTRIES);

		host_guest_write(h, gpa, frame, sizeof(frame));
		ring_add(&drv.tx, gpa, sizeof(frame), 0);
	}
}

static void sent_collect(void)
{
	u32 head, len;

	while (ring_used(&drv.tx, &head, &len))
		drv.wrong += head != drv.sent++ % ENTRIES || len;
}

TEST(what_is_not_given_back_is_sent)
{
	struct deaths d = {0};

	world_begin();
	world_remember(&d);
	frames_put(3);
	DEATHS_WATCH(&d, virtio_notify(&net.dev, 1));
	for (unsigned i = 0; i < d.count; i++) {
		u32 back, frames;

		next_life(&d, i);
		sent_collect();
		back = drv.sent;
		frames = h->net_frames;
		CHECK(frames >= back);
		process_run();
		CHECK_EQ(h->net_frames - frames, 3 - back);
		CHECK(backend.interrupts[1]);
		frames_put(1);
		CHECK(ring_kicks(&drv.tx, true));
		virtio_notify(&net.dev, 1);
		sent_collect();
		CHECK_EQ(drv.sent, 4);
		CHECK_EQ(drv.wrong, 0);
	}
	CHECK(d.count > 8);
	deaths_free(&d);
	world_end();
}

// ---------------------------------------------------------------- commands

static void command_put(u8 class, u8 command, const void *data, u32 len)
{
	u8 bytes[64] = {class, command};
	u16 head = (u16)(2 * (drv.ctrl.avail_idx % (ENTRIES / 2)));
	u64 gpa = COMMAND + 64ull * head;

	memcpy(bytes + 2, data, len);
	host_guest_write(h, gpa, bytes, 2 + len);
	*at(h, ACK + head, 1) = 0xff;
	desc_put(h, CTRL, head, gpa, 2 + len, D_NEXT, (u16)(head + 1));
	desc_put(h, CTRL, (u16)(head + 1), ACK + head, 1, D_WRITE, 0);
	ring_publish(&drv.ctrl, head);
}

static void acks_collect(void)
{
	u32 head, len;

	while (ring_used(&drv.ctrl, &head, &len)) {
		drv.wrong += head != 2 * drv.acks || len != 1 || *at(h, ACK + head, 1);
		drv.acks++;
	}
}

static bool hears(u64 to)
{
	u32 before = drv.packets;

	buffers_add(3);
	receive(7, to);
	packets_collect();
	return drv.packets == before + 1;
}

// As a driver does: the second makes no sense without the first.
static void commands_put(void)
{
	static const u8 table[] = {1, 0, 0, 0, 0x52, 0x54, 0, 0, 0, 9, 0, 0, 0, 0}, off;

	command_put(0, 0, &off, 1);
	command_put(1, 0, table, sizeof(table));
}

static bool filter_is(const struct virtio_net_filter *f, u8 promisc, u16 addrs)
{
	return f->promisc == promisc && f->addrs[0] == addrs && !f->addrs[1] &&
	       (!addrs || net_addr(f->addr[0][0]) == OTHER);
}

TEST(what_commands_set_stays)
{
	struct deaths d = {0};

	world_begin();
	world_remember(&d);
	commands_put();
	DEATHS_WATCH(&d, virtio_notify(&net.dev, 2));
	for (unsigned i = 0; i < d.count; i++) {
		u32 acks;

		next_life(&d, i);
		acks_collect();
		acks = drv.acks;
		CHECK(process_resume());
		// Nothing between two settings; what was answered is there.
		CHECK(acks || filter_is(&net.filter, 1, 0) || filter_is(&net.filter, 0, 0));
		CHECK(acks != 1 || filter_is(&net.filter, 0, 0) || filter_is(&net.filter, 0, 1));
		CHECK(acks != 2 || filter_is(&net.filter, 0, 1));
		virtio_set_dma(&net.dev, true);
		acks_collect();
		CHECK_EQ(drv.acks, 2);
		CHECK_EQ(drv.wrong, 0);
		CHECK(filter_is(&net.filter, 0, 1));
		CHECK(hears(OTHER) && hears(ME) && !hears(OTHER + 1));
	}
	CHECK(d.count > 10);
	deaths_free(&d);
	world_end();
}

TEST(another_life_forgets_what_was_set)
{
	world_begin();
	commands_put();
	virtio_notify(&net.dev, 2);
	CHECK(filter_is(&net.filter, 0, 1));
	virtio_net_destroy(&net);
	process_init();
	account.life++;
	memset(h->page[1], 0, PAGE_SIZE);
	process_run();
	CHECK(filter_is(&net.filter, 1, 0));
	// And so does the same process after a reset.
	memset(&drv.ctrl, 0, sizeof(drv.ctrl));
	drv.ctrl = account_queue(&account, h, 2, ENTRIES, CTRL);
	commands_put();
	virtio_notify(&net.dev, 2);
	CHECK(filter_is(&net.filter, 0, 1));
	virtio_reset(&net.dev);
	account.life++;
	memset(h->page[1], 0, PAGE_SIZE);
	process_run();
	CHECK(filter_is(&net.filter, 1, 0));
	world_end();
}

TEST(what_is_kept_may_be_nonsense)
{
	world_begin();
	for (unsigned i = 0; i < 5; i++) {
		virtio_net_destroy(&net);
		process_init();
		kept.valid = 0;
		kept.set[0] = (struct virtio_net_set){.active_pairs = 1, .filter.promisc = 1};
		if (i == 0)
			kept.set[0].active_pairs = 2;
		if (i == 1)
			kept.set[0].filter.promisc = 2;
		if (i == 2)
			kept.set[0].filter.addrs[1] = VIRTIO_NET_ADDRS + 2;
		if (i == 3)
			kept.valid = 0xfffffffe;
		CHECK_EQ(process_resume(), i > 2);
	}
	world_end();
}

TEST_MAIN()
