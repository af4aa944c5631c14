// SPDX-License-Identifier: MIT
// Network cards of the machine over a driver that the test plays: sending, turns, the watchdog, resets, the link.
//
// link: drivers/net.c net/merge.c net/offload.c net/checksum.c net/frame.c net/bucket.c
// link: kernel/core/timer.c lib/format.c tests/unit/fake/arch.c
#include "drivers/net.h"
#include "lib/errno.h"
#include "tests/unit/test.h"

#define SECONDS 1000000000ull
#define SLOTS   8u

static struct net_device card = {0};
static u8 slots[SLOTS][NET_BUFFER];
static u32 lengths[SLOTS], used, kicks;
static u32 waiting, taken, given, received; // packets that come
static u32 come_length, received_bytes;
static u8 coming[NET_BUFFER], numbered[NET_TURN][NET_BUFFER];
static bool give_number;
static bool link_up = true, fails;
static u32 steps, cut_offs, listens, quiets, gives;

void time_wait_ns(u64 ns);
void time_wait_ns(u64 ns)
{
	fake_now += ns;
}

static u8 *room(struct net_device *d)
{
	(void)d;
	return used < SLOTS ? slots[used] : NULL;
}
static void put(struct net_device *d, u32 len)
{
	(void)d;
	lengths[used++] = len;
}
static void kick(struct net_device *d)
{
	(void)d;
	kicks++;
}
static u32 sent(struct net_device *d)
{
	(void)d;
	return used;
}
static bool ready(const struct net_device *d)
{
	(void)d;
	return waiting;
}
static bool take(struct net_device *d, struct net_received *r)
{
	(void)d;
	if (!waiting)
		return false;
	waiting--;
	taken++;
	*r = (struct net_received){.at = coming, .len = come_length, .summed = true};
	if (give_number) { // the next segment of a connection
		memcpy(numbered[taken % NET_TURN], coming, come_length);
		r->at = numbered[taken % NET_TURN];
		net_put32(numbered[taken % NET_TURN] + 38, taken * (come_length - 54));
	}
	return true;
}
static void give(struct net_device *d)
{
	(void)d;
	given = taken;
	gives++;
}
static bool link(struct net_device *d)
{
	(void)d;
	return link_up;
}
static void quiet(struct net_device *d)
{
	(void)d;
	quiets++;
}
static bool listen(struct net_device *d)
{
	(void)d;
	listens++;
	return false;
}
static u64 recover(struct net_device *d, bool first)
{
	(void)d;
	steps++;
	used = 0;
	return fails ? NET_FAILED : first ? 1000 : 0;
}
static void cut_off(struct net_device *d)
{
	(void)d;
	cut_offs++;
}

static const struct net_driver driver = {
	room, put, NULL, kick, sent, ready, take, give, link, quiet, listen, recover, cut_off};

static void receive(struct net_device *d, const struct net_frame *f)
{
	(void)d;
	received++;
	received_bytes += f->length;
	if (!give_number)
		CHECK(f->length == come_length && f->head_len == MIN(come_length, NET_HEAD));
}

static u32 link_changes;

static void link_changed(struct net_device *d)
{
	(void)d;
	link_changes++;
}

// The kernel's loop on this CPU, once.
static void turn(void)
{
	net_devices_work();
	timer_run(TIMER_NEVER);
}

// The only card there is, as it is after its start.
static void start(void)
{
	static bool there;

	if (!there) {
		fake_reset(2);
		timer_init_pcpu(pcpus[0]);
		timer_init_pcpu(pcpus[1]);
		card.driver = &driver;
		card.kind = "test";
		card.receive = receive;
		card.link_changed = link_changed;
		CHECK_EQ(net_device_register(&card), 0);
		there = true;
	}
	fake_now += 1000 * SECONDS; // earlier resets are forgotten
	link_up = true;
	fails = false;
	waiting = taken = given = received = kicks = steps = used = quiets = 0;
	listens = 0;
	come_length = 60;
	card.pending = 0;
	net_device_open(&card);
	turn();
	card.count = (struct net_device_counters){0};
}

static u8 bytes[20000];

static struct net_frame frame(u32 length)
{
	static struct net_segment rest;
	struct net_frame f = {.length = length, .head_len = MIN(length, NET_HEAD)};

	for (u32 i = 0; i < sizeof(bytes); i++)
		bytes[i] = (u8)(i * 7);
	memcpy(f.head, bytes, f.head_len);
	rest = (struct net_segment){bytes + f.head_len, length - f.head_len};
	f.seg = &rest;
	f.segs = 1;
	return f;
}

TEST(found_by_name)
{
	start();
	CHECK(net_device_find("eth0") == &card);
	CHECK(!net_device_find("eth1") && !net_device_find(""));
	CHECK(net_device_at(0) == &card && !net_device_at(1));
	CHECK(card.cpu == pcpus[0] && card.state == NET_LIVE && card.link);
}

TEST(sends_a_copy)
{
	struct net_frame f = frame(1000);

	start();
	CHECK(net_device_send(&card, &f));
	CHECK(used == 1 && lengths[0] == 1000 && kicks == 1);
	CHECK(memcmp(slots[0], bytes, 1000) == 0);
	CHECK_EQ(card.count.out_bytes, 1000);
	f = frame(NET_PACKET_MAX + 1);
	CHECK(!net_device_send(&card, &f));
	f = frame(100);
	f.length = 200; // its parts are shorter
	CHECK(!net_device_send(&card, &f));
	CHECK(used == 1 && kicks == 1);
}

TEST(full_ring_drops)
{
	struct net_frame f = frame(60);

	start();
	for (u32 i = 0; i < SLOTS; i++)
		CHECK(net_device_send(&card, &f));
	CHECK(!net_device_send(&card, &f));
	CHECK(card.count.out_full == 1 && card.pending == SLOTS);
	used = 0; // all are sent
	CHECK(net_device_send(&card, &f));
	CHECK_EQ(card.pending, 1);
}

// A large segment: as many packets as find room, none longer than the sender asked for.
TEST(cuts_segments)
{
	struct net_frame f = frame(54 + 5000);

	start();
	net_put16(f.head + 12, NET_TYPE_IPV4);
	f.head[14] = 0x45;
	f.head[23] = 6;
	net_put16(f.head + 20, 0);
	f.head[46] = 0x50;
	f.offload = (struct net_offload){.flags = NET_NEEDS_CSUM,
		.gso_type = NET_GSO_TCPV4,
		.gso_size = 1000,
		.hdr_len = 54,
		.csum_start = 34,
		.csum_offset = 16};
	CHECK(net_device_send(&card, &f));
	CHECK(used == 5 && kicks == 1);
	for (u32 i = 0; i < used; i++) {
		CHECK_EQ(lengths[i], 1054);
		CHECK(memcmp(slots[i] + 64, bytes + 64 + 1000 * i, 990) == 0);
	}
	CHECK(!net_device_send(&card, &f));
	CHECK(used == SLOTS && card.count.out_full == 1);
}

// Segments that come in one turn are one frame, and those of the next turn another.
TEST(segments_are_merged)
{
	start();
	give_number = true;
	memset(coming, 0, sizeof(coming));
	come_length = 1054;
	net_put16(coming + 12, NET_TYPE_IPV4);
	memcpy(coming + 14, "\x45\0\x04\x10\0\0\x40\0\x40\x06\x36\xe9", 12);
	coming[46] = 0x50;
	coming[47] = 0x10;
	waiting = 10;
	received_bytes = 0;
	net_device_interrupt(&card);
	turn();
	CHECK(received == 1 && received_bytes == 10054 && given == 10);
	CHECK(card.count.in_packets == 10 && card.count.in_frames == 1);
	waiting = 2;
	net_device_interrupt(&card);
	turn();
	CHECK(received == 2 && received_bytes == 10054 + 2054);
	give_number = false;
}

TEST(turns_are_bounded)
{
	start();
	waiting = 3 * NET_TURN / 2;
	net_device_interrupt(&card);
	CHECK_EQ(quiets, 1);
	net_devices_work();
	CHECK(received == NET_TURN && given == NET_TURN);
	net_device_interrupt(&card);
	net_devices_work(); // the next turn is not due
	CHECK_EQ(received, NET_TURN);
	fake_now += 100000;
	turn();
	CHECK(received == 3 * NET_TURN / 2 && given == taken);
}

// After a packet the card is looked at without interrupts: by a timer, and all the time by a CPU that is idle.
TEST(looked_at_while_hot)
{
	start();
	CHECK(listens == 1 && !net_devices_idle());
	waiting = 1;
	net_device_interrupt(&card);
	turn();
	CHECK(received == 1 && listens == 2 && !net_devices_idle()); // one alone
	waiting = 1;
	net_device_interrupt(&card);
	turn();
	CHECK(received == 2 && listens == 2);
	CHECK(net_devices_idle() && received == 2);
	waiting = 1;
	CHECK(net_devices_idle() && received == 3); // at once
	fake_now += NET_LOOK_NS;
	waiting = 1;
	turn();
	CHECK(received == 4 && listens == 2);
	fake_cpu = pcpus[1];
	CHECK(!net_devices_idle());
	fake_cpu = pcpus[0];
	for (u32 i = 0; i < NET_HOT_NS / NET_LOOK_NS; i++) {
		CHECK_EQ(listens, 2);
		fake_now += NET_LOOK_NS;
		turn();
	}
	CHECK(listens == 3 && !net_devices_idle() && !timer_is_set(&card.turn));
}

// What came while a packet was sent is taken before who sent it goes on.
TEST(answer_at_once)
{
	struct net_frame f = frame(60);

	start();
	waiting = 1;
	CHECK(net_device_send(&card, &f));
	CHECK_EQ(received, 0);
	net_devices_work();
	CHECK_EQ(received, 1);
	fake_cpu = pcpus[1];
	waiting = 1;
	CHECK(net_device_send(&card, &f));
	fake_cpu = pcpus[0];
	net_devices_work();
	CHECK_EQ(received, 1);
	waiting = 0;
}

TEST(other_cpus_leave_it)
{
	start();
	waiting = 1;
	net_device_interrupt(&card);
	fake_cpu = pcpus[1];
	net_devices_work();
	CHECK_EQ(received, 0);
	fake_cpu = pcpus[0];
	net_devices_work();
	CHECK_EQ(received, 1);
}

TEST(bad_lengths_are_counted)
{
	static const u32 bad[] = {0, NET_ETHERNET - 1, NET_BUFFER + 1, ~0u};

	start();
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		come_length = bad[i];
		waiting = 1;
		net_device_interrupt(&card);
		turn();
	}
	CHECK(received == 0 && given == ARRAY_SIZE(bad) && card.count.in_bad == ARRAY_SIZE(bad));
}

TEST(closed_card_drops)
{
	start();
	net_device_close(&card);
	waiting = 1;
	net_device_interrupt(&card);
	turn();
	CHECK(received == 0 && given == 1);
}

TEST(link_down_is_a_pause)
{
	struct net_frame f = frame(60);
	unsigned before;
	u32 changes;

	start();
	changes = link_changes;
	link_up = false;
	net_device_interrupt(&card);
	turn();
	CHECK(!card.link && !net_device_send(&card, &f) && !used);
	CHECK_EQ(link_changes, changes + 1);
	link_up = true;
	net_device_interrupt(&card);
	turn();
	CHECK(card.link && net_device_send(&card, &f));
	CHECK_EQ(link_changes, changes + 2);
	turn();
	CHECK_EQ(link_changes, changes + 2);
	before = fake_log_lines;
	for (u32 i = 0; i < 100; i++) {
		link_up = !link_up;
		net_device_interrupt(&card);
		turn();
	}
	CHECK(fake_log_lines - before <= 10);
}

TEST(stuck_packet_resets)
{
	struct net_frame f = frame(60);

	start();
	CHECK(net_device_send(&card, &f));
	fake_now += 3 * SECONDS;
	timer_run(TIMER_NEVER);
	CHECK(card.broken);
	net_devices_work();
	CHECK(card.state == NET_DOWN && !net_device_send(&card, &f));
	fake_now += 2000;
	turn();
	CHECK(card.state == NET_LIVE && card.count.resets == 1 && steps == 2 && !card.broken);
	CHECK(net_device_send(&card, &f));
	used = 0;
	fake_now += 3 * SECONDS;
	turn();
	CHECK_EQ(card.count.resets, 1);
	fake_now += 10 * SECONDS;
	turn();
	CHECK_EQ(card.count.resets, 1); // nothing was with it
}

// Last: the card is dead then.
TEST(too_many_resets)
{
	struct net_frame f = frame(60);

	start();
	for (u32 i = 0; i < 20 && card.state == NET_LIVE; i++) {
		net_device_break(&card, "the test says so");
		turn();
		fake_now += 2000;
		turn();
	}
	CHECK(card.state == NET_DEAD && cut_offs == 1 && card.count.resets == 17);
	CHECK(!net_device_send(&card, &f));
	net_device_interrupt(&card);
	turn();
	CHECK_EQ(received, 0);
}

TEST_MAIN()
