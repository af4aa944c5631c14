// SPDX-License-Identifier: MIT
// Packets that become one frame. The judge is net_cut: the packets that it makes of a frame are those that went in, byte
// by byte; and a frame of several passes net_offload_check.
// link: net/merge.c net/offload.c net/checksum.c net/frame.c
#include "tests/unit/test.h"

#include <stdlib.h>

#include "net/checksum.h"
#include "net/merge.h"
#include "net/offload.h"

#define PACKETS 256u

enum { PSH = 0x08, ACK = 0x10, FIN = 0x01, SYN = 0x02 };

struct packet {
	u8 bytes[2048];
	u32 len;
};

// A sender; what a packet says is made of it.
struct flow {
	bool v6, tag, whole, stamps;
	u16 port, id, window;
	u32 seq, ack;
};

static struct packet in[PACKETS], out[PACKETS];
static u32 ins, outs, frames;
static struct net_merge merge;
static struct flow flow;

static void deliver(void *to, const struct net_frame *f)
{
	struct net_frame checked = *f;
	struct net_cut cut;
	struct net_packet p;

	CHECK(to == &merge);
	CHECK(f->head_len == MIN(f->length, NET_HEAD));
	frames++;
	if (f->offload.gso_type) {
		CHECK(net_offload_check(&checked));
		CHECK(memcmp(&checked.offload, &f->offload, sizeof(f->offload)) == 0);
	} else {
		CHECK(!(f->offload.flags & ~NET_DATA_VALID));
	}
	CHECK(net_cut_begin(&cut, f, 0));
	while (net_cut_next(&cut, &p)) {
		struct packet *o = &out[outs++];

		memcpy(o->bytes, p.header, p.header_len);
		CHECK(net_frame_read(f, p.offset, o->bytes + p.header_len, p.length));
		o->len = p.header_len + p.length;
	}
}

static void start(void)
{
	memset(&merge, 0, sizeof(merge));
	merge.deliver = deliver;
	merge.to = &merge;
	ins = outs = frames = 0;
	flow = (struct flow){.port = 80, .id = 0xfffe, .window = 5000, .seq = 0xfffff000, .ack = 7};
}

static void sums_fill(u8 *p, u32 ip, u32 tcp, u32 len, bool v6)
{
	struct net_sum sum = {0};
	u8 rest[4];

	if (!v6) {
		net_sum_add(&sum, p + ip, 20);
		net_put16(p + ip + 10, net_sum_finish(&sum));
	}
	sum = (struct net_sum){0};
	net_put16(rest, 6);
	net_put16(rest + 2, (u16)(len - tcp));
	net_sum_add(&sum, p + ip + (v6 ? 8 : 12), v6 ? 32 : 8);
	net_sum_add(&sum, rest, 4);
	net_sum_add(&sum, p + tcp, len - tcp);
	net_put16(p + tcp + 16, net_sum_finish(&sum));
}

// The flow's next packet, in its place among `in`; it is not added yet.
static struct packet *make(struct flow *f, u32 payload, u8 flags)
{
	struct packet *k = &in[ins++];
	u8 *p = k->bytes;
	u32 ip = f->tag ? 18 : 14, tcp = ip + (f->v6 ? 40 : 20), at = tcp + (f->stamps ? 32 : 20);

	memset(p, 0, sizeof(k->bytes));
	memcpy(p, "\x02\1\2\3\4\5\x02\6\7\x8\x9\xa", 12);
	if (f->tag) {
		net_put16(p + 12, NET_TYPE_VLAN);
		net_put16(p + 14, 10);
	}
	net_put16(p + ip - 2, f->v6 ? NET_TYPE_IPV6 : NET_TYPE_IPV4);
	k->len = at + payload;
	if (f->v6) {
		p[ip] = 0x60;
		net_put16(p + ip + 4, (u16)(k->len - tcp));
		p[ip + 6] = 6;
		p[ip + 7] = 64;
		p[ip + 23] = p[ip + 39] = 1;
	} else {
		p[ip] = 0x45;
		net_put16(p + ip + 2, (u16)(k->len - ip));
		net_put16(p + ip + 4, f->id++);
		net_put16(p + ip + 6, f->whole ? 0x4000 : 0);
		p[ip + 8] = 64;
		p[ip + 9] = 6;
		net_put32(p + ip + 12, 0x0a000001);
		net_put32(p + ip + 16, 0x0a000002);
	}
	net_put16(p + tcp, f->port);
	net_put16(p + tcp + 2, 4000);
	net_put32(p + tcp + 4, f->seq);
	net_put32(p + tcp + 8, f->ack);
	p[tcp + 12] = (u8)((at - tcp) / 4 << 4);
	p[tcp + 13] = flags;
	net_put16(p + tcp + 14, f->window);
	if (f->stamps) {
		net_put32(p + tcp + 20, 0x0101080a);
		net_put32(p + tcp + 24, 1000);
	}
	for (u32 i = 0; i < payload; i++)
		p[at + i] = (u8)(f->seq + i * 7);
	f->seq += payload;
	sums_fill(p, ip, tcp, k->len, f->v6);
	return k;
}

static void add(const struct packet *k)
{
	net_merge_add(&merge, k->bytes, k->len, true);
}

static void send(u32 payload, u8 flags)
{
	add(make(&flow, payload, flags));
}

// All that went in came out, in its order.
static void same_check(void)
{
	CHECK_EQ(outs, ins);
	for (u32 i = 0; i < ins && i < outs; i++)
		CHECK(out[i].len == in[i].len && memcmp(out[i].bytes, in[i].bytes, in[i].len) == 0);
}

TEST(bulk_is_one_frame)
{
	for (u32 kind = 0; kind < 16; kind++) {
		start();
		flow.v6 = kind & 1;
		flow.tag = kind & 2;
		flow.whole = kind & 4;
		flow.stamps = kind & 8;
		for (u32 i = 0; i < 20; i++)
			send(1400, ACK);
		send(300, ACK | PSH);
		CHECK_EQ(frames, 0);
		net_merge_end(&merge);
		CHECK_EQ(frames, 1);
		same_check();
	}
}

TEST(a_frame_ends)
{
	start();
	send(1400, ACK);
	send(500, ACK); // shorter: the last
	send(1400, ACK);
	send(1400, ACK | PSH);
	send(1400, ACK);
	send(1401, ACK); // longer
	net_merge_end(&merge);
	CHECK_EQ(frames, 4);
	same_check();
	start();
	for (u32 i = 0; i < 100; i++)
		send(1460, ACK);
	net_merge_end(&merge);
	CHECK_EQ(frames, 3); // 44 of them are less than 64 KiB
	same_check();
	start();
	for (u32 i = 0; i < NET_MERGE_PACKETS + 1; i++)
		send(100, ACK);
	net_merge_end(&merge);
	CHECK_EQ(frames, 2);
	same_check();
	net_merge_end(&merge);
	CHECK_EQ(frames, 2);
}

// What differs from the packet before begins another frame, or is one of its own.
TEST(what_differs)
{
	for (u32 kind = 0; kind < 12; kind++) {
		struct packet *k;

		start();
		send(1000, ACK);
		send(1000, ACK);
		if (kind == 0)
			flow.seq += 1; // lost
		if (kind == 1)
			flow.ack++;
		if (kind == 2)
			flow.window++;
		if (kind == 3)
			flow.id += 3;
		if (kind == 4)
			flow.stamps = true;
		k = make(&flow, kind == 5 ? 40 : 1000,
			(u8)(kind == 6      ? ACK | FIN
				: kind == 7 ? ACK | 0x40 // ECE
				: kind == 8 ? ACK | 0x20 // URG
					    : ACK));
		if (kind == 9)
			k->bytes[15] = 3; // congestion experienced
		if (kind == 10)
			k->bytes[22] = 63; // time to live
		if (kind == 11)
			k->bytes[20] = 0x40; // not to be cut
		if (kind >= 9) {
			net_put16(k->bytes + 24, 0);
			sums_fill(k->bytes, 14, 34, k->len, false);
		}
		add(k);
		net_merge_end(&merge);
		CHECK_EQ(frames, 2);
		same_check();
	}
}

TEST(not_to_be_cut_needs_no_number)
{
	start();
	flow.whole = true;
	for (u32 i = 0; i < 3; i++) {
		flow.id = 0;
		send(1000, ACK);
	}
	net_merge_end(&merge);
	CHECK(frames == 1 && outs == 3);
}

// The card found no good checksum, or there is none to be found.
TEST(left_alone)
{
	start();
	send(1000, ACK);
	net_merge_add(&merge, make(&flow, 1000, ACK)->bytes, 1054, false);
	CHECK_EQ(frames, 2); // in its order
	send(1000, ACK);
	make(&flow, 1000, ACK)->bytes[24] ^= 1; // IP's own sum is wrong
	add(&in[ins - 1]);
	make(&flow, 1000, ACK)->bytes[0] = 0x03; // to a group
	add(&in[ins - 1]);
	net_merge_end(&merge);
	CHECK_EQ(frames, 5);
	CHECK_EQ(outs, 5);
	CHECK(memcmp(out[2].bytes, in[3].bytes, in[3].len) == 0); // no flow's: not behind it
}

TEST(padding_goes_from_data_only)
{
	start();
	make(&flow, 0, ACK)->len = 60;
	add(&in[0]);
	net_merge_end(&merge);
	CHECK(frames == 1 && out[0].len == 60);
	make(&flow, 48, ACK)->len += 10;
	add(&in[1]);
	net_merge_end(&merge);
	CHECK(frames == 2 && out[1].len == 102);
	CHECK(memcmp(out[1].bytes, in[1].bytes, 102) == 0);
}

TEST(acknowledgements)
{
	for (u32 stamps = 0; stamps < 2; stamps++) {
		start();
		flow.stamps = stamps;
		for (u32 i = 0; i < NET_MERGE_ACKS + 3; i++) {
			flow.ack += 1460;
			flow.window++;
			send(0, ACK);
		}
		net_merge_end(&merge);
		CHECK(frames == 2 && outs == 2);
		CHECK(memcmp(out[0].bytes, in[NET_MERGE_ACKS - 1].bytes, in[0].len) == 0);
		CHECK(memcmp(out[1].bytes, in[ins - 1].bytes, in[0].len) == 0);
	}
}

// Those that say the same again tell of a loss; each counts. So do older ones, and those that say something else.
TEST(acknowledgements_that_count)
{
	start();
	for (u32 i = 0; i < 4; i++)
		send(0, ACK);
	flow.ack -= 100;
	send(0, ACK);
	flow.ack += 200;
	send(0, ACK | 0x40);
	flow.ack += 100;
	send(0, ACK | FIN);
	net_merge_end(&merge);
	CHECK_EQ(frames, 7);
	same_check();
	start();
	flow.stamps = true;
	for (u32 i = 0; i < 3; i++) {
		struct packet *k = make(&flow, 0, ACK);

		flow.ack += 1460;
		net_put32(k->bytes + 54, 0x01010508); // selective
		sums_fill(k->bytes, 14, 34, k->len, false);
		add(k);
	}
	net_merge_end(&merge);
	CHECK_EQ(frames, 3);
}

TEST(flows_beside_each_other)
{
	struct flow flows[NET_MERGE_FLOWS + 1];

	start();
	for (u32 i = 0; i < ARRAY_SIZE(flows); i++) {
		flows[i] = flow;
		flows[i].port = (u16)(100 + i);
	}
	for (u32 n = 0; n < 10; n++)
		for (u32 i = 0; i < NET_MERGE_FLOWS; i++)
			add(make(&flows[i], 1000, ACK));
	net_merge_end(&merge);
	CHECK_EQ(frames, NET_MERGE_FLOWS);
	for (u32 n = 0; n < 10; n++)
		for (u32 i = 0; i < ARRAY_SIZE(flows); i++)
			add(make(&flows[i], 1000, ACK));
	net_merge_end(&merge);
	CHECK_EQ(outs, ins);
}

// Any packets in any order: each flow's come out in its order, less the acknowledgements that the next one replaces.
TEST(random_packets)
{
	for (u32 round = 0; round < 300; round++) {
		struct flow flows[6];
		u32 at[6] = {0}, gone = 0;

		start();
		for (u32 i = 0; i < ARRAY_SIZE(flows); i++) {
			flows[i] = flow;
			flows[i].port = (u16)i;
			flows[i].v6 = rand() & 1;
			flows[i].stamps = rand() & 1;
		}
		while (ins < 200) {
			struct flow *f = &flows[rand() % (round % 6 + 1)];
			u32 what = (u32)rand() % 16;

			f->ack += what < 4 ? 1 : 0;
			add(make(f,
				what < 6    ? 0
				: what == 6 ? (u32)rand() % 1400
					    : 1400,
				(u8)(what == 7      ? ACK | PSH
					: what == 8 ? ACK | FIN
						    : ACK)));
			if (rand() % 40 == 0)
				net_merge_end(&merge);
		}
		net_merge_end(&merge);
		for (u32 i = 0; i < outs;
			i++) { // each is one of those that went in, the next of its flow
			u32 tcp = net_get16(out[i].bytes + 12) == NET_TYPE_IPV6 ? 54 : 34;
			u32 n = net_get16(out[i].bytes + tcp), k = at[n];

			while (k < ins && (in[k].len != out[i].len ||
						  memcmp(in[k].bytes, out[i].bytes, in[k].len)))
				k++;
			CHECK(k < ins);
			for (u32 j = at[n]; j < k; j++) {
				u32 t = net_get16(in[j].bytes + 12) == NET_TYPE_IPV6 ? 54 : 34;

				if (net_get16(in[j].bytes + t) != n)
					continue;
				gone++;
				CHECK(in[j].bytes[t + 13] == ACK && in[j].len <= t + 32);
				CHECK(net_get32(in[j].bytes + t + 8) !=
					net_get32(out[i].bytes + t + 8));
			}
			at[n] = k + 1;
		}
		CHECK_EQ(outs + gone, ins);
	}
}

TEST_MAIN()
