// SPDX-License-Identifier: MIT
// The virtual switch: who hears what, for each kind of port; what a port may not do; what is forgotten when.
// link: net/switch.c net/stations.c net/vlan.c net/bucket.c net/frame.c
#include "tests/unit/test.h"

#include "lib/errno.h"
#include "net/stations.h"
#include "net/switch.h"

#define PORTS  8
#define SECOND 1000000000ull
#define A      0x525400000001ull
#define B      0x525400000002ull
#define C      0x525400000003ull

static struct net_switch sw;
static struct net_port port[PORTS];
static unsigned heard[PORTS];
static struct net_frame last[PORTS];
static bool full[PORTS];
static u64 now;

static bool take(struct net_port *p, const struct net_frame *f)
{
	unsigned i = (unsigned)(p - port);

	if (full[i])
		return false;
	heard[i]++;
	last[i] = *f;
	return true;
}

static int attach(unsigned i, struct net_port_config c)
{
	port[i] = (struct net_port){.config = c, .deliver = take};
	return net_switch_attach(&sw, &port[i], now);
}

static void begin(void)
{
	memset(heard, 0, sizeof(heard));
	memset(full, 0, sizeof(full));
	memset(port, 0, sizeof(port));
	now = 5 * SECOND;
	net_switch_init(&sw, 0x123456789abcdefull);
}

static struct net_frame frame(u64 dst, u64 src, int tag, u32 length)
{
	static u8 rest[70000];
	static struct net_segment seg;
	struct net_frame f = {.length = length, .head_len = MIN(length, NET_HEAD), .seg = &seg};
	unsigned at = 12;

	net_put16(f.head, (u16)(dst >> 32));
	net_put32(f.head + 2, (u32)dst);
	net_put16(f.head + 6, (u16)(src >> 32));
	net_put32(f.head + 8, (u32)src);
	if (tag >= 0) {
		net_put16(f.head + at, NET_TYPE_VLAN);
		net_put16(f.head + at + 2, (u16)tag);
		at += 4;
	}
	net_put16(f.head + at, NET_TYPE_IPV4);
	for (unsigned i = at + 2; i < f.head_len; i++)
		f.head[i] = (u8)i;
	seg = (struct net_segment){rest, length - f.head_len};
	f.segs = seg.len ? 1 : 0;
	return f;
}

// Who heard it, as a set of ports.
static unsigned input(unsigned from, struct net_frame f)
{
	unsigned set = 0;

	memset(heard, 0, sizeof(heard));
	net_switch_input(&port[from], &f, now);
	for (unsigned i = 0; i < PORTS; i++)
		set |= (unsigned)(heard[i] > 0) << i;
	return set;
}

static unsigned send(unsigned from, u64 dst, u64 src)
{
	return input(from, frame(dst, src, -1, 100));
}

static struct net_port_config locked(u64 addr, u16 vlan)
{
	return (struct net_port_config){.locked = true, .addr = addr, .vlan = vlan};
}

TEST(learns_and_forgets)
{
	begin();
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(attach(i, (struct net_port_config){0}), 0);
	CHECK_EQ(send(0, B, A), 6); // unknown: to all others
	CHECK_EQ(send(1, A, B), 1);
	CHECK_EQ(send(0, B, A), 2);
	CHECK_EQ(send(0, A, A), 0); // to itself: nobody
	CHECK_EQ(send(0, NET_BROADCAST, A), 6);
	CHECK_EQ(send(0, 0x01005e000001ull, A), 6);
	now += NET_AGEING_NS + 1;
	CHECK_EQ(send(0, B, A), 6);
	CHECK_EQ(send(2, A, B), 1); // it has moved
	CHECK_EQ(send(0, B, A), 4);
	net_switch_detach(&port[2]);
	CHECK_EQ(send(0, B, A), 2);
	CHECK_EQ(port[0].stations, 1);
}

TEST(locked_ports)
{
	begin();
	CHECK_EQ(attach(0, locked(A, 0)), 0);
	CHECK_EQ(attach(1, locked(B, 0)), 0);
	CHECK_EQ(attach(2, (struct net_port_config){.uplink = true}), 0);
	CHECK_EQ(attach(3, locked(B, 0)), -EEXIST);
	CHECK_EQ(attach(3, locked(0, 0)), -EINVAL);
	CHECK_EQ(attach(3, locked(NET_BROADCAST, 0)), -EINVAL);
	CHECK_EQ(attach(3, locked(A | 1ull << 40, 0)), -EINVAL);
	CHECK_EQ(attach(3, (struct net_port_config){.vlan = NET_VLANS}), -EINVAL);
	CHECK_EQ(send(0, B, A), 2); // known before it has said anything
	CHECK_EQ(send(0, C, A), 4); // what is unknown is behind the uplink
	CHECK_EQ(send(0, B, C), 0);
	CHECK_EQ(port[0].count.drop[NET_DROP_MAC], 1);
	CHECK_EQ(send(2, A, B), 0); // the uplink cannot take a locked port's address
	CHECK_EQ(port[2].count.drop[NET_DROP_MAC], 1);
	CHECK_EQ(send(0, B, A), 2);
	// A station that was learned elsewhere belongs to the port that is locked to it from then on.
	CHECK_EQ(send(2, A, C), 1);
	CHECK_EQ(attach(3, locked(C, 0)), 0);
	CHECK_EQ(send(0, C, A), 8);
	CHECK_EQ(send(2, A, C), 0);
	CHECK_EQ(send(0, C, A), 8);
}

TEST(access_vlans)
{
	begin();
	attach(0, locked(A, 10));
	attach(1, locked(B, 10));
	attach(2, locked(C, 20));
	attach(3, (struct net_port_config){.vlan = 20});
	CHECK_EQ(send(0, NET_BROADCAST, A), 2);
	CHECK_EQ(send(0, C, A), 0); // there, but in another VLAN
	CHECK_EQ(send(0, B, A), 2);
	CHECK_EQ(send(2, NET_BROADCAST, C), 8);
	CHECK_EQ(input(0, frame(B, A, 20, 100)), 0);
	CHECK_EQ(input(0, frame(B, A, 10, 100)), 0);
	CHECK_EQ(port[0].count.drop[NET_DROP_VLAN], 2);
	CHECK_EQ(input(0, frame(B, A, 0xe000, 100)), 2); // a priority tag
	CHECK_EQ(last[1].length, 96);
	CHECK_EQ(net_get16(last[1].head + 12), NET_TYPE_IPV4);
}

TEST(trunks)
{
	static u8 vlans[(NET_VLANS + 7) / 8];
	struct net_frame f;

	begin();
	vlans[10 / 8] |= 1 << 10 % 8;
	vlans[0] |= 1 << 5;
	attach(0, (struct net_port_config){.vlan = 10});
	attach(1, (struct net_port_config){.trunk = true, .vlans = vlans, .vlan = 5});
	attach(2, (struct net_port_config){.vlan = 20});
	attach(3, (struct net_port_config){.vlan = 5});
	attach(4, (struct net_port_config){.trunk = true});
	f = frame(NET_BROADCAST, A, -1, 100);
	f.offload =
		(struct net_offload){.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
	CHECK_EQ(input(0, f), 0x12);
	CHECK_EQ(last[1].length, 104);
	CHECK_EQ(net_get16(last[1].head + 12), NET_TYPE_VLAN);
	CHECK_EQ(net_get16(last[1].head + 14), 10);
	CHECK(!memcmp(last[1].head + 16, f.head + 12, NET_HEAD - 12));
	CHECK_EQ(last[1].offload.csum_start, 38);
	CHECK_EQ(input(2, frame(NET_BROADCAST, B, -1, 100)), 0x10);
	// From the trunk: by tag, by native VLAN, not what is not in its set; the tag goes off again.
	CHECK_EQ(input(1, frame(NET_BROADCAST, C, 10, 100)), 0x11);
	CHECK_EQ(last[0].length, 96);
	CHECK_EQ(net_get16(last[0].head + 12), NET_TYPE_IPV4);
	CHECK_EQ(last[4].length, 100);
	CHECK_EQ(net_get16(last[4].head + 14), 10);
	CHECK_EQ(input(1, frame(NET_BROADCAST, C, -1, 100)), 0x18);
	CHECK_EQ(last[3].length, 100);
	CHECK_EQ(input(1, frame(NET_BROADCAST, C, 20, 100)), 0);
	CHECK_EQ(input(1, frame(NET_BROADCAST, C, 4095, 100)), 0);
	CHECK_EQ(input(4, frame(NET_BROADCAST, C, 4095, 100)), 0);
	CHECK_EQ(port[1].count.drop[NET_DROP_VLAN], 2);
	// The same station in two VLANs is two.
	CHECK_EQ(input(0, frame(C, A, -1, 100)), 2);
	CHECK_EQ(input(2, frame(C, B, -1, 100)), 0x10);
	// A tag within a tag.
	f = frame(NET_BROADCAST, C, 10, 100);
	net_put16(f.head + 16, NET_TYPE_VLAN);
	CHECK_EQ(input(1, f), 0);
}

TEST(a_trunk_without_its_native_vlan)
{
	static u8 vlans[(NET_VLANS + 7) / 8];

	begin();
	vlans[10 / 8] |= 1 << 10 % 8;
	attach(0, (struct net_port_config){.trunk = true, .vlans = vlans});
	attach(1, (struct net_port_config){.trunk = true});
	CHECK_EQ(input(0, frame(NET_BROADCAST, A, 10, 100)), 2);
	CHECK_EQ(input(0, frame(NET_BROADCAST, A, -1, 100)), 0);
	CHECK_EQ(input(0, frame(NET_BROADCAST, A, 0xe000, 100)), 0); // a priority tag
	CHECK_EQ(input(0, frame(NET_BROADCAST, A, 11, 100)), 0);
	CHECK_EQ(port[0].count.drop[NET_DROP_VLAN], 3);
	CHECK_EQ(input(1, frame(NET_BROADCAST, B, -1, 100)), 0);
	CHECK_EQ(input(1, frame(NET_BROADCAST, B, 11, 100)), 0);
	CHECK_EQ(input(1, frame(NET_BROADCAST, B, 10, 100)), 1);
}

TEST(bad_frames)
{
	struct net_frame f;

	begin();
	attach(0, (struct net_port_config){0});
	attach(1, (struct net_port_config){0});
	CHECK_EQ(input(0, frame(B, A, -1, 13)), 0);
	CHECK_EQ(input(0, frame(B, A, -1, 14)), 2);
	CHECK_EQ(input(0, frame(B, A, -1, 1514)), 2);
	CHECK_EQ(input(0, frame(B, A, -1, 1515)), 0);
	f = frame(B, A, -1, 65000);
	f.offload.gso_type = NET_GSO_TCPV4;
	CHECK_EQ(input(0, f), 2);
	f.length = NET_FRAME_MAX + 1;
	CHECK_EQ(input(0, f), 0);
	f = frame(NET_BROADCAST, A, -1, 65000); // a segment for everybody
	f.offload.gso_type = NET_GSO_TCPV4;
	CHECK_EQ(input(0, f), 0);
	CHECK_EQ(port[0].count.drop[NET_DROP_BAD], 4);
	CHECK_EQ(send(0, B, NET_BROADCAST), 0);
	CHECK_EQ(send(0, B, 0), 0);
	CHECK_EQ(port[0].count.drop[NET_DROP_MAC], 2);
	CHECK_EQ(send(0, 0x0180c2000000ull, A), 0);
	CHECK_EQ(send(0, 0x0180c200000full, A), 0);
	CHECK_EQ(send(0, 0x0180c2000010ull, A), 2);
	CHECK_EQ(port[0].count.drop[NET_DROP_LINK], 2);
	net_switch_detach(&port[0]);
	CHECK_EQ(send(0, B, A), 0);
	net_switch_detach(&port[0]);
}

TEST(counters_and_a_full_receiver)
{
	begin();
	attach(0, locked(A, 0));
	attach(1, locked(B, 0));
	send(0, B, A);
	full[1] = true;
	send(0, B, A);
	CHECK_EQ(port[0].count.in_frames, 2);
	CHECK_EQ(port[0].count.in_bytes, 200);
	CHECK_EQ(port[1].count.out_frames, 1);
	CHECK_EQ(port[1].count.out_bytes, 100);
	CHECK_EQ(port[1].count.drop[NET_DROP_FULL], 1);
}

// Two ports, the first with so many broadcasts a second: how many pass of 5,000 at once.
static unsigned storm(u32 bound)
{
	struct net_port_config c = locked(A, 0);
	unsigned passed = 0;

	begin();
	c.storm = bound;
	attach(0, c);
	attach(1, locked(B, 0));
	for (unsigned i = 0; i < 5000; i++)
		passed += send(0, NET_BROADCAST, A) == 2;
	return passed;
}

TEST(storms_are_bounded)
{
	unsigned passed = storm(100);

	CHECK_EQ(passed, 100);                // the burst
	CHECK_EQ(send(0, B, A), 2);           // what has one receiver is no storm
	for (unsigned i = 0; i < 1000; i++) { // ten seconds
		now += SECOND / 100;
		passed += send(0, NET_BROADCAST, A) == 2;
		send(0, NET_BROADCAST, A);
	}
	CHECK(passed >= 1090 && passed <= 1100);
	CHECK(port[0].count.drop[NET_DROP_STORM] >= 1800);
}

TEST(a_storm_begins_with_a_tenth_of_a_second)
{
	CHECK_EQ(storm(5000), 500);
}

TEST(rate_is_bounded)
{
	struct net_port_config c = locked(A, 0);
	u64 bytes = 0;

	begin();
	c.rate = 1000000;
	attach(0, c);
	attach(1, locked(B, 0));
	for (unsigned i = 0; i < 200000; i++) { // two seconds at 100 times the rate
		now += 10000;
		bytes += input(0, frame(B, A, -1, 1000)) == 2 ? 1000 : 0;
	}
	CHECK(bytes >= 2000000 && bytes <= 2000000 + 2 * NET_FRAME_MAX + 1000);
	CHECK_EQ(port[0].count.drop[NET_DROP_RATE], 200000 - bytes / 1000);
}

TEST(bucket_loses_nothing)
{
	static const u64 rates[] = {1, 3, 999, 1000000, 1000000007, 125000000000ull};
	struct net_bucket b;

	for (unsigned r = 0; r < ARRAY_SIZE(rates); r++) {
		u64 t = 12345, got = 0;

		net_bucket_init(&b, rates[r], 2 * rates[r], t);
		CHECK(net_bucket_take(&b, 2 * rates[r], t));
		CHECK(!net_bucket_take(&b, 1, t));
		for (unsigned i = 0; i < 300000; i++) { // 2.1 s in steps of no round number
			t += 7001;
			while (got < 1000000 && net_bucket_take(&b, 1 + rates[r] / 1000, t))
				got++;
		}
		// Units taken, within one portion of what flowed in.
		CHECK(got * (1 + rates[r] / 1000) <= rates[r] * 2101 / 1000 + 1);
		CHECK((got + 1) * (1 + rates[r] / 1000) + 1 >= rates[r] * 21 / 10);
		t += 1000 * SECOND;
		CHECK(!net_bucket_take(&b, 2 * rates[r] + 1, t));
		CHECK(net_bucket_take(&b, 2 * rates[r], t));
		CHECK(!net_bucket_take(&b, 1, t - SECOND)); // a clock that went back gives nothing
	}
	net_bucket_init(&b, 0, 0, 0);
	CHECK(net_bucket_take(&b, ~0ull, 0));
}

TEST(invented_stations_are_bounded)
{
	begin();
	attach(0, (struct net_port_config){0});
	attach(1, (struct net_port_config){0});
	attach(2, (struct net_port_config){.uplink = true});
	send(1, NET_BROADCAST, B);
	for (u64 i = 0; i < 100000; i++) {
		now += SECOND / 1000;
		send(0, NET_BROADCAST, 0x020000000000ull + i * 7919);
		if (i % 1000 == 0)
			send(1, NET_BROADCAST, B);
	}
	CHECK(port[0].stations <= NET_STATIONS);
	CHECK_EQ(send(2, B, C), 2); // it was heard all the time, and is still known
	for (u64 i = 0; i < 100000; i++)
		send(2, NET_BROADCAST, 0x020000000000ull + i * 7919);
	CHECK(port[2].stations <= NET_TABLE);
	CHECK_EQ(send(2, B, C), 2 | (net_station_find(&sw, B, 0, now) ? 0 : 1)); // found, or sought
}

TEST(sixty_four_ports)
{
	static struct net_port many[NET_PORTS + 1];

	begin();
	for (unsigned i = 0; i <= NET_PORTS; i++) {
		many[i] = (struct net_port){.config = locked(A + i, 0), .deliver = take};
		CHECK_EQ(net_switch_attach(&sw, &many[i], now), i < NET_PORTS ? 0 : -ENOSPC);
	}
	for (unsigned i = 0; i < NET_PORTS; i++)
		net_switch_detach(&many[i]);
	CHECK_EQ(sw.ports, 0);
}

TEST_MAIN()
