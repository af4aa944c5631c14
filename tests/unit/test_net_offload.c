// SPDX-License-Identifier: MIT
// Checksums and segments made in software, compared with known packets and with a plain sum of RFC 1071.
// link: net/offload.c net/checksum.c net/frame.c
#include "tests/unit/test.h"

#include "net/checksum.h"
#include "net/offload.h"

static u8 bytes[70000];
static struct net_segment segs[64];
static struct net_frame frame;

// As RFC 1071 says it, one word at a time.
static u16 plain_sum(const u8 *p, u32 len, u32 sum)
{
	for (u32 i = 0; i < len; i += 2)
		sum += (u32)p[i] << 8 | (i + 1 < len ? p[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (u16)sum;
}

// The frame of bytes[0, length) in pieces of `piece` bytes behind its head.
static void frame_make(u32 length, u32 piece)
{
	u32 at = MIN(length, NET_HEAD);

	frame = (struct net_frame){.length = length, .head_len = at, .seg = segs};
	memcpy(frame.head, bytes, at);
	while (at < length && frame.segs < ARRAY_SIZE(segs)) {
		u32 n = frame.segs + 1 == ARRAY_SIZE(segs) ? length - at : MIN(piece, length - at);

		segs[frame.segs++] = (struct net_segment){bytes + at, n};
		at += n;
	}
}

// A TCP segment over IPv4 or IPv6 as Linux hands it to a card; returns the bytes of its headers.
static u32 tcp_make(bool v6, bool tag, u32 options, u32 payload)
{
	u32 ip = tag ? 18 : 14, tcp = ip + (v6 ? 40 : 20), start = tcp + 20 + options;

	for (u32 i = 0; i < sizeof(bytes); i++)
		bytes[i] = (u8)(i * 31 + i / 256);
	net_put16(bytes + 12, tag ? NET_TYPE_VLAN : NET_TYPE_IPV4);
	net_put16(bytes + ip - 2, v6 ? NET_TYPE_IPV6 : NET_TYPE_IPV4);
	if (v6) {
		bytes[ip] = 0x60;
		net_put16(bytes + ip + 4, (u16)(20 + options + payload));
		bytes[ip + 6] = 6;
	} else {
		bytes[ip] = 0x45;
		net_put16(bytes + ip + 2, (u16)(start - ip + payload));
		net_put16(bytes + ip + 4, 0xfffe);
		net_put16(bytes + ip + 6, 0x4000);
		bytes[ip + 9] = 6;
		net_put16(bytes + ip + 10, 0);
	}
	net_put32(bytes + tcp + 4, 0xffffff00);
	bytes[tcp + 12] = (u8)((20 + options) / 4 << 4);
	bytes[tcp + 13] = 0x80 | 0x10 | 0x08 | 0x01; // CWR, ACK, PSH, FIN
	return start;
}

static void gso(bool v6, u32 tcp, u16 size)
{
	frame.offload = (struct net_offload){.flags = NET_NEEDS_CSUM,
		.gso_type = v6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4,
		.gso_size = size,
		.csum_start = (u16)tcp,
		.csum_offset = 16};
}

// The packet as a receiver gets it.
static u32 flatten(const struct net_packet *p, u8 *out)
{
	memcpy(out, p->header, p->header_len);
	CHECK(net_frame_read(&frame, p->offset, out + p->header_len, p->length));
	return p->header_len + p->length;
}

static void packet_check(const u8 *p, u32 len, bool v6, u32 ip)
{
	u32 tcp = ip + (v6 ? 40 : 20), pseudo;

	pseudo = plain_sum(p + ip + (v6 ? 8 : 12), v6 ? 32 : 8, 6 + len - tcp);
	CHECK_EQ(plain_sum(p + tcp, len - tcp, pseudo), 0xffff);
	if (v6) {
		CHECK_EQ(net_get16(p + ip + 4), len - tcp);
	} else {
		CHECK_EQ(plain_sum(p + ip, 20, 0), 0xffff);
		CHECK_EQ(net_get16(p + ip + 2), len - ip);
	}
}

TEST(known_sums)
{
	// An IPv4 header whose sum is b861, and RFC 1071's own example: 0001 f203 f4f5 f6f7 sums to ddf2.
	static const u8 header[] = {0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8,
		0, 1, 0xc0, 0xa8, 0, 0xc7};
	static const u8 example[] = {0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7};
	struct net_sum s = {0};

	net_sum_add(&s, header, sizeof(header));
	CHECK_EQ(net_sum_finish(&s), 0xb861);
	s = (struct net_sum){0};
	for (unsigned i = 0; i < sizeof(example); i++) // byte by byte
		net_sum_add(&s, example + i, 1);
	CHECK_EQ(net_sum_finish(&s), (u16)~0xddf2);
	s = (struct net_sum){0};
	net_sum_add(&s, (const u8 *)"\xff\xff", 2);
	CHECK_EQ(net_sum_finish(&s), 0xffff); // never 0
}

TEST(sums_in_pieces)
{
	for (u32 i = 0; i < 4096; i++)
		bytes[i] = (u8)(i * i >> 3);
	for (u32 len = 0; len < 200; len++) {
		for (u32 cut = 0; cut <= len; cut += 7) {
			struct net_sum s = {0};
			u16 wanted = (u16)~plain_sum(bytes + 3, len, 0);

			net_sum_add(&s, bytes + 3, cut);
			net_sum_add(&s, bytes + 3 + cut, len - cut);
			CHECK_EQ(net_sum_finish(&s), wanted ? wanted : 0xffff);
		}
	}
}

TEST(a_checksum_is_filled_in)
{
	static u8 out[2000];

	for (u32 length = 60; length < 140; length += 11) {
		struct net_cut c;
		struct net_packet p;

		tcp_make(false, false, 0, length - 54);
		// The driver has put the sum of the pseudo header there.
		net_put16(bytes + 50, plain_sum(bytes + 26, 8, 6 + length - 34));
		net_put16(bytes + 24, (u16)~plain_sum(bytes + 14, 20, 0));
		frame_make(length, 13);
		frame.offload = (struct net_offload){
			.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
		CHECK(net_offload_check(&frame));
		CHECK(net_cut_begin(&c, &frame, 0));
		CHECK(net_cut_next(&c, &p));
		CHECK_EQ(flatten(&p, out), length);
		packet_check(out, length, false, 14);
		CHECK(!memcmp(out + 52, bytes + 52, length - 52));
		CHECK(!net_cut_next(&c, &p));
	}
}

TEST(a_plain_frame_is_as_it_was)
{
	static u8 out[2000];
	struct net_cut c;
	struct net_packet p;

	tcp_make(false, false, 0, 1000);
	frame_make(1054, 300);
	CHECK(net_offload_check(&frame));
	CHECK(net_cut_begin(&c, &frame, 0) && net_cut_next(&c, &p));
	CHECK_EQ(flatten(&p, out), 1054);
	CHECK(!memcmp(out, bytes, 1054));
	CHECK(!net_cut_next(&c, &p));
}

static void segments(bool v6, bool tag, u32 options, u32 payload, u16 size)
{
	static u8 out[2000];
	u32 ip = tag ? 18 : 14, tcp = ip + (v6 ? 40 : 20);
	u32 start = tcp_make(v6, tag, options, payload), done = 0, n = 0,
	    packets = (payload + size - 1u) / size;
	struct net_cut c;
	struct net_packet p;

	frame_make(start + payload, 1111);
	gso(v6, tcp, size);
	CHECK(net_offload_check(&frame));
	CHECK_EQ(frame.offload.hdr_len, start);
	CHECK(net_cut_begin(&c, &frame, 0));
	while (net_cut_next(&c, &p)) {
		u32 len = flatten(&p, out);

		CHECK_EQ(p.header_len, start);
		CHECK(len - start == size || (n + 1 == packets && len - start == payload - done));
		CHECK(!memcmp(out + start, bytes + start + done, len - start));
		CHECK_EQ(net_get32(out + tcp + 4), (u32)(0xffffff00 + done));
		CHECK_EQ(out[tcp + 13], 0x10 | (n ? 0 : 0x80) | (n + 1 == packets ? 9 : 0));
		if (!v6)
			CHECK_EQ(net_get16(out + ip + 4), (u16)(0xfffe + n));
		packet_check(out, len, v6, ip);
		done += len - start;
		n++;
		// Begun again behind this packet: the next one is the same.
		if (n == 2 && packets > 2) {
			CHECK(net_cut_begin(&c, &frame, n));
		}
	}
	CHECK_EQ(done, payload);
	CHECK_EQ(n, packets);
}

TEST(segments_of_ipv4)
{
	segments(false, false, 0, 2921, 1460);
	segments(false, false, 12, 65000, 1448);
	segments(false, true, 40, 10000, 1400);
	segments(false, false, 12, 1001, 48);
}

TEST(segments_of_ipv6)
{
	segments(true, false, 0, 2881, 1440);
	segments(true, false, 12, 64000, 1428);
	segments(true, true, 40, 9999, 1001);
}

static bool taken(u32 offset, u8 value, struct net_offload o)
{
	u8 old;

	tcp_make(false, false, 12, 3000);
	old = bytes[offset];
	bytes[offset] = value;
	frame_make(66 + 3000, 500);
	bytes[offset] = old;
	frame.offload = o;
	return net_offload_check(&frame);
}

TEST(bare_acknowledgements)
{
	for (u32 kind = 0; kind < 8; kind++) {
		bool v6 = kind & 1, tag = kind & 2;
		u32 start = tcp_make(v6, tag, kind & 4 ? 12 : 0, 0);

		frame_make(MAX(start, 60u), 9); // with padding
		CHECK(net_is_bare_ack(&frame));
		start = tcp_make(v6, tag, 0, 1);
		frame_make(start + 1, 9);
		CHECK(!net_is_bare_ack(&frame));
		frame.head[tag ? 18 : 14] = 0; // no IP
		CHECK(!net_is_bare_ack(&frame));
	}
}

TEST(nonsense_is_refused)
{
	const struct net_offload good = {
		.flags = 1, .gso_type = 1, .gso_size = 1448, .csum_start = 34, .csum_offset = 16};
	struct net_offload o = good;

	CHECK(taken(12, 0x08, good));
	CHECK(!taken(12, 0x86, good)); // not IPv4
	CHECK(!taken(14, 0x44, good)); // header of 16 bytes
	CHECK(!taken(14, 0x46, good)); // the checksum is not where TCP's is
	CHECK(!taken(14, 0x65, good));
	CHECK(!taken(20, 0x20, good)); // a fragment
	CHECK(!taken(21, 0x01, good));
	CHECK(!taken(23, 17, good));
	CHECK(!taken(46, 0x40, good)); // TCP header of 16 bytes
	o.flags = 0;
	CHECK(!taken(12, 8, o));
	o = good, o.flags = 3;
	CHECK(!taken(12, 8, o));
	o = good, o.gso_size = 0;
	CHECK(!taken(12, 8, o));
	o = good, o.gso_size = NET_GSO_MIN - 1;
	CHECK(!taken(12, 8, o));
	o = good, o.gso_size = 1449; // does not fit into a packet
	CHECK(!taken(12, 8, o));
	o = good, o.gso_type = 3; // UDP
	CHECK(!taken(12, 8, o));
	o = good, o.gso_type = 4;
	CHECK(!taken(12, 8, o));
	o = good, o.csum_start = 33;
	CHECK(!taken(12, 8, o));
	o = good, o.csum_offset = 15;
	CHECK(!taken(12, 8, o));
	o = good, o.hdr_len = 65535; // a guess, not believed
	CHECK(taken(12, 8, o));
	CHECK_EQ(frame.offload.hdr_len, 66);
	o = (struct net_offload){.flags = 1, .csum_start = 65535, .csum_offset = 65535};
	CHECK(!taken(12, 8, o));
	o = (struct net_offload){.flags = 1, .csum_start = 250, .csum_offset = 16};
	CHECK(!taken(12, 8, o));
	o = (struct net_offload){.flags = 1, .csum_start = 0, .csum_offset = 16};
	CHECK(!taken(12, 8, o));
	// One packet is not cut.
	tcp_make(false, false, 12, 1448);
	frame_make(66 + 1448, 5000);
	frame.offload = good;
	CHECK(net_offload_check(&frame));
	CHECK_EQ(frame.offload.gso_type, NET_GSO_NONE);
	// Nothing but headers, and less.
	for (u32 len = 0; len < 66; len++) {
		tcp_make(false, false, 12, 0);
		frame_make(len, 9);
		frame.offload = good;
		CHECK(!net_offload_check(&frame));
	}
}

TEST_MAIN()
