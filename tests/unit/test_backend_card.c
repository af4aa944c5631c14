// SPDX-License-Identifier: MIT
// A network card of a back-end with a tap, in a network namespace of the test's own: frames both ways, what a card may not send,
// a guest without buffers, a back-end that follows another, a tap that goes away. Skipped where no tap can be made.
// link: backend/open.c backend/loop.c backend/device.c backend/plan.c backend/disk.c backend/image.c common/tap.c backend/uplink.c backend/say.c
// link: devices/host_linux/host_linux.c devices/host_linux/host_linux_timer.c devices/host_linux/host_linux_ring.c
// link: devices/host_linux/host_linux_block.c devices/host_linux/host_linux_file.c devices/host_linux/host_linux_net.c devices/host_linux/host_linux_filter.c
// link: devices/virtio_blk.c devices/virtio_blk_request.c devices/virtio_pace.c devices/virtio_rng.c devices/virtio.c devices/virtqueue.c
// link: devices/virtio_net.c devices/virtio_net_tx.c devices/virtio_net_rx.c devices/virtio_net_control.c
// link: devices/virtio_net_flow.c net/offload.c net/checksum.c net/frame.c net/switch.c net/stations.c net/vlan.c
// link: net/bucket.c net/config.c kernel/core/disk_line.c storage/gpt.c storage/crc32.c lib/format.c -luring
// link: backend/firmware.c backend/keeper.c devices/fw_tell.c devices/fw_cfg_acpi.c devices/fw_cfg_list.c lib/firmware.c storage/twin.c storage/twin_restore.c
#include "backend/backend.h"
#include "net/tap.h"
#include "tests/unit/link_fake.h"
#include "tests/unit/test.h"

#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#define SLOT  PLAN_CARD_SLOT
#define SIZE  16u // entries of each queue
#define RINGS 0x1000u
#define DATA  0x100000u // of entry n of queue q: + (q * SIZE + n) * 2048
#define TYPE  0x88b5    // for experiments
#define FRAME 200u

static int wire; // all that comes out of the tap's other end, and a way in
static char tap_name[NET_TAP_NAME];
static u16 avail[2], seen[2];

static bool tap_make(void)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd, s;
	bool ok;

	net_tap_name(tap_name, 3, 0);
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	strcpy(r.ifr_name, tap_name);
	ok = fd >= 0 && !ioctl(fd, TUNSETIFF, &r) && !ioctl(fd, TUNSETPERSIST, 1);
	close(fd);
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	r.ifr_flags = IFF_UP;
	ok = ok && !ioctl(s, SIOCSIFFLAGS, &r);
	close(s);
	return ok;
}

static bool wire_open(void)
{
	struct sockaddr_ll a = {
		.sll_family = AF_PACKET, .sll_protocol = (u16)__builtin_bswap16(TYPE)};

	wire = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, a.sll_protocol);
	a.sll_ifindex = (int)if_nametoindex(tap_name);
	return wire >= 0 && !bind(wire, (struct sockaddr *)&a, sizeof(a));
}

// Nobody else shall speak there.
static void no_ipv6(void)
{
	int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "1", 1) != 1)
		perror("disable_ipv6");
	close(fd);
}

static bool is_possible(void)
{
	if (unshare(CLONE_NEWNET))
		return false;
	no_ipv6();
	return tap_make() && wire_open();
}

static bool possible(void)
{
	static int state = -1;

	if (state < 0) {
		state = is_possible();
		if (!state)
			fprintf(stderr,
				"test_backend_card: no tap can be made here: nothing is tested\n");
	}
	return state;
}

// ---------------------------------------------------------------- a driver

static u16 *ring_at(unsigned q, u32 offset)
{
	return (void *)(fake_memory + RINGS + 0x3000 * q + offset);
}

static u64 data_at(unsigned q, unsigned n)
{
	return DATA + (q * SIZE + n) * 2048;
}

static void buffer_put(unsigned q, unsigned n, u32 len)
{
	u8 *desc = (u8 *)ring_at(q, 16 * n);

	memcpy(desc, &(u64){data_at(q, n)}, 8);
	memcpy(desc + 8, &len, 4);
	memcpy(desc + 12, &(u32){q ? 0 : 2}, 4);
	ring_at(q, 0x1000)[2 + avail[q] % SIZE] = (u16)n;
	__atomic_store_n(&ring_at(q, 0x1000)[1], ++avail[q], __ATOMIC_SEQ_CST);
	if (!(ring_at(q, 0x2000)[0] & 1))
		fake_ring(SLOT, BIT(q));
}

// The next entry that came back; SIZE: none.
static unsigned buffer_take(unsigned q, u32 *len)
{
	u32 entry[2];

	if (__atomic_load_n(&ring_at(q, 0x2000)[1], __ATOMIC_ACQUIRE) == seen[q])
		return SIZE;
	memcpy(entry, (u8 *)ring_at(q, 0x2000) + 4 + 8 * (seen[q]++ % SIZE), 8);
	*len = entry[1];
	return entry[0];
}

static void driver_start(void)
{
	struct mezz_device_state *s = &fake->state[SLOT];

	memset(avail, 0, sizeof(avail));
	memset(seen, 0, sizeof(seen));
	s->accepted = VIRTIO_F_VERSION_1 | VIRTIO_NET_F_MAC;
	s->status = 15;
	for (unsigned q = 0; q < 2; q++) {
		s->queue[q].desc = RINGS + 0x3000 * q;
		s->queue[q].driver = RINGS + 0x3000 * q + 0x1000;
		s->queue[q].device = RINGS + 0x3000 * q + 0x2000;
		s->queue[q].size = SIZE;
		s->queue[q].enabled = 1;
	}
	s->running = 1;
	fake_ring(SLOT, MEZZ_BELL_STATE);
}

static u64 now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000 + (u64)t.tv_nsec / 1000000;
}

static void turns(struct backend *b, unsigned ms)
{
	for (u64 end = now_ms() + ms; now_ms() < end;)
		backend_turn(b, 1000000);
}

static struct backend *open_backend(void)
{
	struct backend *b = calloc(1, sizeof(*b));
	bool ended;

	if (!backend_open(b, "web", "/tmp", &ended)) {
		backend_close(b);
		free(b);
		return NULL;
	}
	link_confine(b->link);
	return b;
}

static void close_backend(struct backend *b)
{
	backend_close(b);
	free(b);
}

static struct backend *set_up(const char *vlan)
{
	fake_create("web");
	snprintf(fake->line[0], sizeof(fake->line[0]), "nic lan %s 52:54:00:00:00:01 100 0", vlan);
	return open_backend();
}

static void frame_make(u8 *to, u8 from, u16 vlan, u8 number)
{
	u8 addr[] = {0x52, 0x54, 0, 0, 0, from};
	u8 *p = to;

	memset(to, number, FRAME);
	memcpy(p, from == 1 ? "\x52\x54\0\0\0\x09" : "\x52\x54\0\0\0\x01", 6);
	memcpy(p + 6, addr, 6);
	p += 12;
	if (vlan) {
		net_put16(p, NET_TYPE_VLAN);
		net_put16(p + 2, vlan);
		p += 4;
	}
	net_put16(p, TYPE);
}

static void send_frame(unsigned n, u8 from, u16 vlan, u8 number)
{
	memset(fake_memory + data_at(1, n), 0, 12);
	frame_make(fake_memory + data_at(1, n) + 12, from, vlan, number);
	buffer_put(1, n, 12 + FRAME);
}

// The number of the next frame on the wire, of the type; 0: none. Linux has cut a tag out of it.
static u8 wire_take(void)
{
	u8 frame[2048];
	ssize_t n = recv(wire, frame, sizeof(frame), 0);

	return n == FRAME || n == FRAME - NET_TAG ? frame[n - 1] : 0;
}

// To the station 52:54:00:00:00:`to`, or a group.
static void wire_send_to(u8 first, u8 to, u16 vlan, u8 number)
{
	u8 frame[FRAME];

	frame_make(frame, 9, vlan, number);
	frame[0] = first;
	frame[5] = to;
	CHECK_EQ(send(wire, frame, FRAME, 0), FRAME);
}

static void wire_send(u8 number)
{
	wire_send_to(0x52, 1, 0, number);
}

// ---------------------------------------------------------------- tests

TEST(description)
{
	const struct mezz_device *m;
	struct backend *b;

	if (!possible())
		return;
	b = set_up("0");
	m = &fake->device[SLOT];
	CHECK(b && fake->there[SLOT] && fake->starts == 1);
	CHECK_EQ(m->type, VIRTIO_TYPE_NET);
	CHECK_EQ(m->queues, 5);
	CHECK_EQ(m->pci_class, 0x020000);
	CHECK(!memcmp(m->config, "\x52\x54\0\0\0\1", 6));
	CHECK(m->features & VIRTIO_NET_F_HOST_TSO4);
	close_backend(b);
	fake_destroy();
}

TEST(to_the_wire)
{
	struct backend *b;
	u32 len;

	if (!possible())
		return;
	b = set_up("5"); // the bridge's affair: without a tag here
	driver_start();
	send_frame(0, 1, 0, 11);
	turns(b, 20);
	CHECK_EQ(buffer_take(1, &len), 0);
	CHECK_EQ(wire_take(), 11);
	send_frame(0, 7, 0, 12); // another's address
	send_frame(1, 1, 5, 13); // a tag
	send_frame(2, 1, 0, 14);
	turns(b, 20);
	CHECK_EQ(wire_take(), 14);
	CHECK_EQ(wire_take(), 0);
	CHECK_EQ(buffer_take(1, &len), 0);
	CHECK_EQ(buffer_take(1, &len), 1);
	CHECK_EQ(buffer_take(1, &len), 2);
	CHECK_EQ(fake->brokens[SLOT], 0);
	close_backend(b);
	fake_destroy();
}

TEST(trunk)
{
	struct backend *b;

	if (!possible())
		return;
	b = set_up("trunk:0,5");
	driver_start();
	send_frame(0, 1, 5, 21);
	send_frame(1, 1, 6, 22); // not of its VLANs
	send_frame(2, 1, 0, 23);
	turns(b, 20);
	CHECK_EQ(b->device[SLOT]->net->inner.count.drop[NET_DROP_VLAN], 1);
	CHECK_EQ(b->device[SLOT]->net->outer.count.out_frames, 2);
	CHECK_EQ(wire_take(), 21);
	CHECK_EQ(wire_take(), 23);
	close_backend(b);
	fake_destroy();
}

TEST(storm)
{
	struct backend *b;

	if (!possible())
		return;
	b = set_up("0"); // 100 a second to unknown stations, as many at once
	driver_start();
	for (unsigned i = 0; i < 30; i++) {
		for (unsigned n = 0; n < 8; n++)
			send_frame(n, 1, 0, 31);
		turns(b, 2);
	}
	CHECK(b->device[SLOT]->net->inner.count.drop[NET_DROP_STORM] > 80);
	CHECK(b->device[SLOT]->net->inner.count.in_frames >= 100);
	while (wire_take())
		;
	close_backend(b);
	fake_destroy();
}

TEST(from_the_wire)
{
	struct backend *b;
	u32 len;

	if (!possible())
		return;
	b = set_up("0");
	driver_start();
	buffer_put(0, 0, 2048);
	turns(b, 5);
	for (u8 i = 1; i <= 5; i++)
		wire_send(i);
	turns(b, 20);
	CHECK_EQ(buffer_take(0, &len), 0);
	CHECK_EQ(len, 12 + FRAME);
	CHECK_EQ(fake_memory[data_at(0, 0) + 12 + FRAME - 1], 1);
	CHECK(atomic_exchange(&fake->interrupts[SLOT], 0) & 1);
	CHECK_EQ(buffer_take(0, &len), SIZE);
	CHECK(b->device[SLOT]->net->full); // the others wait
	for (unsigned n = 0; n < 8; n++)
		buffer_put(0, n, 2048);
	turns(b, 20);
	for (unsigned n = 0; n < 4; n++) {
		CHECK_EQ(buffer_take(0, &len), n);
		CHECK_EQ(fake_memory[data_at(0, n) + 12 + FRAME - 1], n + 2);
	}
	CHECK(atomic_exchange(&fake->interrupts[SLOT], 0) & 1);
	CHECK(!b->device[SLOT]->net->full);
	close_backend(b);
	fake_destroy();
}

// The kernel drops what is not for the card, and the back-end does not wake for it.
TEST(filter)
{
	struct backend *b;
	struct net_counters *count;
	u32 len;

	if (!possible())
		return;
	b = set_up("0");
	driver_start();
	for (unsigned n = 0; n < 8; n++)
		buffer_put(0, n, 2048);
	turns(b, 5);
	CHECK(b->device[SLOT]->net->direct);
	count = &b->device[SLOT]->net->outer.count;
	wire_send_to(0x52, 2, 0, 61);      // another's
	wire_send_to(0xd2, 1, 0, 62);      // another's, with the highest bit
	wire_send_to(0x52, 1, 5, 63);      // another network
	wire_send_to(0x53, 7, 0, 64);      // a group
	wire_send_to(0x52, 1, 0x2000, 65); // a priority
	wire_send(66);
	turns(b, 20);
	CHECK_EQ(count->in_frames, 3);
	for (unsigned n = 0; n < 3; n++) {
		CHECK_EQ(buffer_take(0, &len), n);
		CHECK_EQ(len, 12 + FRAME - (n == 1 ? NET_TAG : 0));
		CHECK_EQ(fake_memory[data_at(0, n) + len - 1], 64 + n);
	}
	CHECK_EQ(buffer_take(0, &len), SIZE);
	close_backend(b);
	fake_destroy();
}

// Behind a long frame others are read straight into the guest's memory; one that has to be changed on its way is copied.
TEST(placed)
{
	static u8 expected[FRAME];
	struct backend *b;
	u32 len;

	if (!possible())
		return;
	b = set_up("0");
	driver_start();
	for (unsigned n = 0; n < 3; n++)
		buffer_put(0, n, 70000);
	turns(b, 5);
	for (unsigned n = 0; n < 3; n++) {
		u16 tag = n == 1 ? 0x2000 : 0;

		b->device[SLOT]->net->large = HOST_NET_EXPECT;
		memset(b->device[SLOT]->net->frame, 0, FRAME);
		wire_send_to(0x52, 1, tag, (u8)(71 + n));
		turns(b, 20);
		CHECK_EQ(b->device[SLOT]->net->large, HOST_NET_EXPECT - 1);
		CHECK_EQ(b->device[SLOT]->net->frame[0] != 0, tag != 0); // copied
		CHECK_EQ(buffer_take(0, &len), n);
		CHECK_EQ(len, 12 + FRAME - (tag ? NET_TAG : 0));
		frame_make(expected, 9, tag, (u8)(71 + n));
		CHECK(!memcmp(fake_memory + data_at(0, n) + 12, expected, 12));
		CHECK(!memcmp(
			fake_memory + data_at(0, n) + 12 + 12, expected + (tag ? 16 : 12), 180));
	}
	// No room for the longest: it comes all the same.
	buffer_put(0, 3, 2048);
	b->device[SLOT]->net->large = HOST_NET_EXPECT;
	wire_send(74);
	turns(b, 20);
	CHECK_EQ(buffer_take(0, &len), 3);
	CHECK_EQ(fake_memory[data_at(0, 3) + 12 + FRAME - 1], 74);
	close_backend(b);
	fake_destroy();
}

// The next back-end opens the same tap and goes on with the same queues.
TEST(another)
{
	struct backend *b;
	u32 len;

	if (!possible())
		return;
	b = set_up("0");
	driver_start();
	for (unsigned n = 0; n < 4; n++)
		buffer_put(0, n, 2048);
	turns(b, 5);
	wire_send(41);
	turns(b, 20);
	close_backend(b);
	b = open_backend();
	CHECK(b && fake->starts == 1);
	turns(b, 5);
	CHECK(atomic_exchange(&fake->interrupts[SLOT], 0) & 1);
	CHECK_EQ(buffer_take(0, &len), 0);
	wire_send(42);
	send_frame(0, 1, 0, 43);
	turns(b, 20);
	CHECK_EQ(buffer_take(0, &len), 1);
	CHECK_EQ(fake_memory[data_at(0, 1) + 12 + FRAME - 1], 42);
	CHECK_EQ(wire_take(), 43);
	close_backend(b);
	fake_destroy();
}

static bool link_of(struct backend *b)
{
	return b->device[SLOT]->card->link;
}

static void flag_set(const char *name, bool up)
{
	struct ifreq r = {.ifr_flags = up ? IFF_UP : 0};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(r.ifr_name, name);
	CHECK(!ioctl(s, SIOCSIFFLAGS, &r));
	close(s);
}

// The loopback device is the uplink here: it has a link when it is up.
TEST(follows)
{
	struct backend *b;

	if (!possible())
		return;
	fake_create("web");
	strcpy(fake->line[0], "nic lan 0 52:54:00:00:00:01 0 0 lo follow");
	b = open_backend();
	CHECK(b && !link_of(b));
	CHECK_EQ(fake->device[SLOT].config[6], 0); // VIRTIO_NET_S_LINK_UP
	driver_start();
	flag_set("lo", true);
	turns(b, 20);
	CHECK(link_of(b));
	CHECK_EQ(fake->configs[SLOT], 1);
	flag_set("lo", false);
	turns(b, 20);
	CHECK(!link_of(b));
	CHECK_EQ(fake->configs[SLOT], 2);
	flag_set("lo", true);
	close_backend(b);
	b = open_backend(); // what the driver knows is from before
	CHECK(link_of(b));
	turns(b, 5);
	CHECK_EQ(fake->configs[SLOT], 3);
	close_backend(b);
	fake_destroy();
}

// Last, as there is no tap afterwards.
TEST(gone)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	struct backend *b;
	unsigned n = 0;

	if (!possible())
		return;
	b = set_up("0");
	driver_start();
	turns(b, 5);
	strcpy(r.ifr_name, tap_name);
	CHECK(!ioctl(b->device[SLOT]->net->tap, TUNSETPERSIST, 0));
	CHECK(!system("ip link delete mz3-0 2>/dev/null || true"));
	send_frame(0, 1, 0, 51);
	for (u64 end = now_ms() + 100; now_ms() < end; n++)
		backend_turn(b, 50000000);
	CHECK(n < 20); // it does not spin
	close_backend(b);
	fake_destroy();
}

TEST_MAIN()
