// SPDX-License-Identifier: MIT
// Which packets belong together, and the headers of what they become (RFC 791, 8200, 9293).
#include "net/merge.h"

#include "lib/string.h"
#include "net/checksum.h"
#include "net/offload.h"

enum { PROTOCOL_TCP = 6 };
enum { TCP_PSH = 0x08, TCP_ACK = 0x10 };

#define IP4_HEADER   20u
#define IP6_HEADER   40u
#define IP4_FRAGMENT 0x3fffu // not the first, or more to come
#define IP4_WHOLE    0x4000u // not to be cut
#define TCP_HEADER   20u
#define TCP_CHECKSUM 16u
#define TIMESTAMP    12u         // bytes of options that hold nothing else
#define TIMESTAMP_IS 0x0101080au // how they begin (RFC 7323, appendix A)

enum kind {
	OTHER, // no TCP, or none that can be told apart
	PLAIN, // of a flow, but as it is
	DATA,
	ACK,
};

// ---------------------------------------------------------------- what a packet is

static const u8 *head(const struct net_merge_packet *p)
{
	return p->frame.head;
}

static bool parse_ip4(struct net_merge_packet *p)
{
	const u8 *h = head(p) + p->ip;
	struct net_sum sum = {0};

	if (p->ip + IP4_HEADER + TCP_HEADER > p->frame.head_len || h[0] != 0x45 ||
		h[9] != PROTOCOL_TCP || net_get16(h + 6) & IP4_FRAGMENT)
		return false;
	net_sum_add(&sum, h, IP4_HEADER);
	p->tcp = p->ip + IP4_HEADER;
	p->end = p->ip + net_get16(h + 2);
	return net_sum_finish(&sum) == 0xffff;
}

static bool parse_ip6(struct net_merge_packet *p)
{
	const u8 *h = head(p) + p->ip;

	if (p->ip + IP6_HEADER + TCP_HEADER > p->frame.head_len || h[0] >> 4 != 6 ||
		h[6] != PROTOCOL_TCP)
		return false;
	p->tcp = p->ip + IP6_HEADER;
	p->end = p->tcp + net_get16(h + 4);
	return true;
}

static bool parse(struct net_merge_packet *p)
{
	const u8 *h = head(p);
	u16 type;

	p->ip = NET_ETHERNET;
	if (p->frame.head_len < NET_ETHERNET + NET_TAG || net_addr_is_group(net_addr(h)))
		return false;
	if (net_get16(h + 2 * NET_ADDR) == NET_TYPE_VLAN)
		p->ip += NET_TAG;
	type = net_get16(h + p->ip - 2);
	if (!(type == NET_TYPE_IPV4 && parse_ip4(p)) && !(type == NET_TYPE_IPV6 && parse_ip6(p)))
		return false;
	p->payload = p->tcp + (h[p->tcp + 12] >> 4) * 4u;
	return p->payload >= p->tcp + TCP_HEADER && p->payload <= p->end &&
	       p->payload <= p->frame.head_len && p->end <= p->frame.length;
}

// Nothing beside its number that the one before did not say, as far as can be told without the one before.
static bool is_ack(const struct net_merge_packet *p)
{
	u32 options = p->payload - p->tcp - TCP_HEADER;

	return !options ||
	       (options == TIMESTAMP && net_get32(head(p) + p->tcp + TCP_HEADER) == TIMESTAMP_IS);
}

static enum kind classify(struct net_merge_packet *p, bool summed)
{
	u32 payload;
	u8 flags;

	if (!parse(p))
		return OTHER;
	payload = p->end - p->payload;
	flags = head(p)[p->tcp + 13];
	p->seq = net_get32(head(p) + p->tcp + 4) + payload;
	p->size = payload;
	if (!summed)
		return PLAIN;
	if (!payload)
		return flags == TCP_ACK && is_ack(p) ? ACK : PLAIN;
	p->last = flags & TCP_PSH;
	return (flags & ~TCP_PSH) == TCP_ACK && payload >= NET_GSO_MIN && p->end - p->ip <= NET_MTU
		       ? DATA
		       : PLAIN;
}

// ---------------------------------------------------------------- what belongs together

static bool same(
	const struct net_merge_packet *a, const struct net_merge_packet *b, u32 from, u32 to)
{
	return memcmp(head(a) + from, head(b) + from, to - from) == 0;
}

static bool is_ip6(const struct net_merge_packet *p)
{
	return p->tcp - p->ip == IP6_HEADER;
}

static bool same_flow(const struct net_merge_packet *a, const struct net_merge_packet *b)
{
	return a->ip == b->ip && a->tcp == b->tcp && same(a, b, 0, a->ip) &&
	       same(a, b, a->ip + (is_ip6(a) ? 8 : 12), a->tcp + 4);
}

// All that the IP header says beside lengths, sums and the packet's own number.
static bool same_ip(const struct net_merge_packet *a, const struct net_merge_packet *b)
{
	const u8 *x = head(a) + a->ip, *y = head(b) + b->ip;

	if (is_ip6(a))
		return same(a, b, a->ip, a->ip + 4) && x[7] == y[7];
	return x[1] == y[1] && same(a, b, a->ip + 6, a->ip + 9);
}

// Its number is what net_cut would give it; nobody looks at that of a packet that may not be cut.
static bool numbered(const struct net_merge_flow *f, const struct net_merge_packet *b)
{
	const u8 *x = head(&f->p) + f->p.ip, *y = head(b) + b->ip;

	return is_ip6(b) || net_get16(x + 6) & IP4_WHOLE ||
	       net_get16(y + 4) == (u16)(net_get16(x + 4) + f->packets);
}

// Number, flags but PSH, window and options.
static bool same_tcp(const struct net_merge_packet *a, const struct net_merge_packet *b)
{
	const u8 *x = head(a) + a->tcp, *y = head(b) + b->tcp;

	return a->payload == b->payload && same(a, b, a->tcp + 8, a->tcp + 13) &&
	       !((x[13] ^ y[13]) & ~TCP_PSH) && same(a, b, a->tcp + 14, a->tcp + 16) &&
	       same(a, b, a->tcp + TCP_HEADER, a->payload);
}

// Does the packet follow the flow's?
static bool follows(const struct net_merge_flow *f, const struct net_merge_packet *b)
{
	const struct net_merge_packet *a = &f->p;

	return a->data && !a->last && b->size <= a->size && a->seq == b->seq - b->size &&
	       f->packets < NET_MERGE_PACKETS &&
	       a->frame.length + b->size <= NET_ETHERNET + 65535u && same_ip(a, b) &&
	       numbered(f, b) && same_tcp(a, b);
}

// Does the acknowledgement b say all that the flow's does, and more?
static bool replaces(const struct net_merge_flow *f, const struct net_merge_packet *b)
{
	const struct net_merge_packet *a = &f->p;
	u32 more = net_get32(head(b) + b->tcp + 8) - net_get32(head(a) + a->tcp + 8);

	return !a->data && f->packets < NET_MERGE_ACKS && a->seq == b->seq && more &&
	       more < BIT(31) && a->payload == b->payload && same_ip(a, b);
}

// ---------------------------------------------------------------- the frame

static void append(struct net_merge_flow *f, const struct net_merge_packet *b, const u8 *at)
{
	struct net_merge_packet *a = &f->p;

	f->seg[a->frame.segs++] = (struct net_segment){at + b->payload, b->size};
	a->frame.length += b->size;
	a->seq += b->size;
	a->last = b->last || b->size < a->size;
	a->frame.head[a->tcp + 13] |= head(b)[b->tcp + 13] & TCP_PSH;
	f->packets++;
}

// The first packet's headers, as if the whole had been sent at once: the checksum is that of the pseudo header.
static void finish_headers(struct net_merge_packet *p)
{
	struct net_frame *f = &p->frame;
	u8 *ip = f->head + p->ip, *tcp = f->head + p->tcp, rest[4];
	struct net_sum sum = {0}, pseudo = {0};
	bool v6 = is_ip6(p);

	if (v6) {
		net_put16(ip + 4, (u16)(f->length - p->tcp));
	} else {
		net_put16(ip + 2, (u16)(f->length - p->ip));
		net_put16(ip + 10, 0);
		net_sum_add(&sum, ip, IP4_HEADER);
		net_put16(ip + 10, net_sum_finish(&sum));
	}
	net_put16(rest, PROTOCOL_TCP);
	net_put16(rest + 2, (u16)(f->length - p->tcp));
	net_sum_add(&pseudo, ip + (v6 ? 8 : 12), v6 ? 32 : 8);
	net_sum_add(&pseudo, rest, sizeof(rest));
	net_put16(tcp + TCP_CHECKSUM, (u16)~net_sum_finish(&pseudo));
	f->offload = (struct net_offload){.flags = NET_NEEDS_CSUM,
		.gso_type = v6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4,
		.hdr_len = (u16)p->payload,
		.gso_size = (u16)p->size,
		.csum_start = (u16)p->tcp,
		.csum_offset = TCP_CHECKSUM};
}

static void flush(struct net_merge *m, struct net_merge_flow *f)
{
	if (f->p.data && f->packets > 1)
		finish_headers(&f->p);
	f->packets = 0;
	m->deliver(m->to, &f->p.frame);
}

static struct net_merge_flow *find(struct net_merge *m, const struct net_merge_packet *p)
{
	for (u32 i = 0; i < NET_MERGE_FLOWS; i++)
		if (m->flow[i].packets && same_flow(&m->flow[i].p, p))
			return &m->flow[i];
	return NULL;
}

static struct net_merge_flow *place(struct net_merge *m)
{
	struct net_merge_flow *f;

	for (u32 i = 0; i < NET_MERGE_FLOWS; i++)
		if (!m->flow[i].packets)
			return &m->flow[i];
	f = &m->flow[m->victim++ % NET_MERGE_FLOWS];
	flush(m, f);
	return f;
}

// The flow begins with this packet. Padding behind data is left out.
static void begin(struct net_merge_flow *f, const struct net_merge_packet *p, const u8 *at)
{
	struct net_frame *frame = &f->p.frame;

	f->p = *p;
	f->packets = 1;
	if (p->data)
		frame->length = p->end;
	frame->head_len = MIN(frame->length, NET_HEAD);
	f->seg[0] = (struct net_segment){at + frame->head_len, frame->length - frame->head_len};
	frame->seg = f->seg;
}

static void add_ack(struct net_merge_flow *f, const struct net_merge_packet *p, const u8 *at)
{
	u32 packets = f->packets;

	begin(f, p, at);
	f->packets = packets + 1;
}

void net_merge_add(struct net_merge *m, const u8 *at, u32 len, bool summed)
{
	struct net_segment rest = {at + MIN(len, NET_HEAD), len - MIN(len, NET_HEAD)};
	struct net_merge_packet p = {
		.frame = {.length = len, .head_len = MIN(len, NET_HEAD), .seg = &rest, .segs = 1}};
	struct net_merge_flow *f;
	enum kind kind;

	p.frame.offload.flags = summed ? NET_DATA_VALID : 0;
	memcpy(p.frame.head, at, p.frame.head_len);
	kind = classify(&p, summed);
	p.data = kind == DATA;
	f = kind == OTHER ? NULL : find(m, &p);
	if (f && kind == DATA && follows(f, &p)) {
		append(f, &p, at);
		return;
	}
	if (f && kind == ACK && replaces(f, &p)) {
		add_ack(f, &p, at);
		return;
	}
	if (f)
		flush(m, f);
	if (kind == DATA || kind == ACK)
		begin(f ? f : place(m), &p, at);
	else
		m->deliver(m->to, &p.frame);
}

void net_merge_end(struct net_merge *m)
{
	for (u32 i = 0; i < NET_MERGE_FLOWS; i++)
		if (m->flow[i].packets)
			flush(m, &m->flow[i]);
}
