// SPDX-License-Identifier: MIT
// Checksums and segmentation in software.
//
// Sources: virtio 1.2, section 5.1.6.2 (what a sender asks for); RFC 791, 8200, 9293 (the headers); RFC 3168 (CWR).
#include "net/offload.h"

#include "lib/string.h"
#include "net/checksum.h"

enum { PROTOCOL_TCP = 6 };
enum { TCP_FIN = 0x01, TCP_PSH = 0x08, TCP_CWR = 0x80 };

#define IP4_HEADER   20u
#define IP6_HEADER   40u
#define TCP_HEADER   20u
#define TCP_SEQ      4u
#define TCP_OFFSET   12u
#define TCP_FLAGS    13u
#define TCP_CHECKSUM 16u

struct headers {
	u32 ip, tcp, payload; // offsets
};

static bool ip4_parse(const u8 *h, u32 len, struct headers *out)
{
	u32 ip = out->ip, size;

	if (ip + IP4_HEADER > len || h[ip] >> 4 != 4)
		return false;
	size = (h[ip] & 0xfu) * 4;
	out->tcp = ip + size;
	// No fragment: more to come, or not the first.
	return size >= IP4_HEADER && h[ip + 9] == PROTOCOL_TCP && !(net_get16(h + ip + 6) & 0x3fff);
}

static bool ip6_parse(const u8 *h, u32 len, struct headers *out)
{
	u32 ip = out->ip;

	out->tcp = ip + IP6_HEADER;
	return ip + IP6_HEADER <= len && h[ip] >> 4 == 6 && h[ip + 6] == PROTOCOL_TCP;
}

// The payload may begin behind the bytes given.
static bool headers_parse(const u8 *h, u32 len, u8 gso_type, struct headers *out)
{
	bool v6 = (gso_type & ~NET_GSO_ECN) == NET_GSO_TCPV6;
	u16 type = net_get16(h + 2 * NET_ADDR);

	out->ip = NET_ETHERNET;
	if (type == NET_TYPE_VLAN && len >= NET_ETHERNET + NET_TAG) {
		type = net_get16(h + 2 * NET_ADDR + NET_TAG);
		out->ip += NET_TAG;
	}
	if (type != (v6 ? NET_TYPE_IPV6 : NET_TYPE_IPV4))
		return false;
	if (!(v6 ? ip6_parse(h, len, out) : ip4_parse(h, len, out)) || out->tcp + TCP_HEADER > len)
		return false;
	out->payload = out->tcp + (h[out->tcp + TCP_OFFSET] >> 4) * 4u;
	return out->payload >= out->tcp + TCP_HEADER;
}

// The frame's first bytes, as many as headers may have; returns how many those are, 0: it cannot be read.
static u32 headers_read(const struct net_frame *f, u8 h[NET_HEADERS_MAX])
{
	u32 len = MIN(f->length, NET_HEADERS_MAX);

	return len >= NET_ETHERNET && net_frame_read(f, 0, h, len) ? len : 0;
}

static bool segment_check(struct net_frame *f)
{
	struct net_offload *o = &f->offload;
	u8 type = o->gso_type & (u8)~NET_GSO_ECN;
	struct headers at;

	if (type != NET_GSO_TCPV4 && type != NET_GSO_TCPV6)
		return false;
	if (!(o->flags & NET_NEEDS_CSUM) || o->gso_size < NET_GSO_MIN || o->gso_size > NET_MTU)
		return false;
	if (!headers_parse(f->head, f->head_len, type, &at) ||
		at.payload > MIN(f->length, NET_HEADERS_MAX))
		return false;
	if (o->csum_start != at.tcp || o->csum_offset != TCP_CHECKSUM ||
		at.payload - at.ip + o->gso_size > NET_MTU)
		return false;
	o->hdr_len = (u16)at.payload;
	if (f->length - at.payload <= o->gso_size)
		o->gso_type = NET_GSO_NONE;
	return true;
}

bool net_offload_check(struct net_frame *f)
{
	struct net_offload *o = &f->offload;
	u32 end = (u32)o->csum_start + o->csum_offset + 2;

	if (f->length < NET_ETHERNET || f->length > NET_FRAME_MAX || o->flags & ~NET_NEEDS_CSUM)
		return false;
	if (o->flags & NET_NEEDS_CSUM &&
		(o->csum_start < NET_ETHERNET || end > f->length || end > NET_HEADERS_MAX))
		return false;
	if (o->gso_type && !segment_check(f))
		return false;
	if (!o->gso_type)
		o->gso_size = o->hdr_len = 0;
	if (!(o->flags & NET_NEEDS_CSUM))
		o->csum_start = o->csum_offset = 0;
	return true;
}

bool net_is_bare_ack(const struct net_frame *f)
{
	struct headers at;

	if (headers_parse(f->head, f->head_len, NET_GSO_TCPV4, &at))
		return at.ip + net_get16(f->head + at.ip + 2) == at.payload;
	return headers_parse(f->head, f->head_len, NET_GSO_TCPV6, &at) &&
	       at.tcp + net_get16(f->head + at.ip + 4) == at.payload;
}

// ---------------------------------------------------------------- packets

static void sum_frame(struct net_sum *s, const struct net_frame *f, u32 offset, u32 len)
{
	while (len) {
		u32 n;
		const u8 *at = net_frame_at(f, offset, &n);

		if (!at)
			return;
		n = MIN(n, len);
		net_sum_add(s, at, n);
		offset += n;
		len -= n;
	}
}

bool net_cut_begin(struct net_cut *c, const struct net_frame *f, u32 index)
{
	const struct net_offload *o = &f->offload;
	struct headers at = {0};
	u32 len = headers_read(f, c->header), end = (u32)o->csum_start + o->csum_offset + 2;

	if (!len)
		return false;
	c->f = f;
	c->index = index;
	c->packets = 1;
	if (o->gso_type) {
		if (!headers_parse(c->header, len, o->gso_type, &at) || at.payload > len ||
			!o->gso_size)
			return false;
		c->ip = at.ip;
		c->tcp = at.tcp;
		c->start = at.payload;
		c->packets = (f->length - at.payload + o->gso_size - 1) / o->gso_size;
	} else if (o->flags & NET_NEEDS_CSUM) {
		if (end > len)
			return false;
		c->start = end;
	} else {
		c->start = 0;
	}
	return true;
}

// The sum over what is behind csum_start, in which the driver has put the pseudo header's sum already.
static void checksum_fill(struct net_cut *c, const struct net_packet *p)
{
	const struct net_offload *o = &c->f->offload;
	struct net_sum sum = {0};

	net_sum_add(&sum, c->packet + o->csum_start, c->start - o->csum_start);
	sum_frame(&sum, c->f, p->offset, p->length);
	net_put16(c->packet + o->csum_start + o->csum_offset, net_sum_finish(&sum));
}

static void ip4_fill(struct net_cut *c, u32 total)
{
	u8 *ip = c->packet + c->ip;
	struct net_sum sum = {0};

	net_put16(ip + 2, (u16)total);
	net_put16(ip + 4, (u16)(net_get16(ip + 4) + c->index));
	net_put16(ip + 10, 0);
	net_sum_add(&sum, ip, c->tcp - c->ip);
	net_put16(ip + 10, net_sum_finish(&sum));
}

static void tcp_fill(struct net_cut *c, const struct net_packet *p)
{
	u8 *tcp = c->packet + c->tcp, pseudo[4];
	u32 len = c->start - c->tcp + p->length;
	bool v6 = c->packet[c->ip] >> 4 == 6;
	struct net_sum sum = {0};

	net_put32(tcp + TCP_SEQ, net_get32(tcp + TCP_SEQ) + p->offset - c->start);
	if (c->index + 1 < c->packets)
		tcp[TCP_FLAGS] &= (u8) ~(TCP_FIN | TCP_PSH);
	if (c->index)
		tcp[TCP_FLAGS] &= (u8)~TCP_CWR;
	net_put16(tcp + TCP_CHECKSUM, 0);
	net_sum_add(&sum, c->packet + c->ip + (v6 ? 8 : 12), v6 ? 32 : 8); // both addresses
	net_put16(pseudo, PROTOCOL_TCP);
	net_put16(pseudo + 2, (u16)len);
	net_sum_add(&sum, pseudo, sizeof(pseudo));
	net_sum_add(&sum, tcp, c->start - c->tcp);
	sum_frame(&sum, c->f, p->offset, p->length);
	net_put16(tcp + TCP_CHECKSUM, net_sum_finish(&sum));
}

bool net_cut_next(struct net_cut *c, struct net_packet *p)
{
	const struct net_offload *o = &c->f->offload;

	if (c->index >= c->packets)
		return false;
	*p = (struct net_packet){.header = c->packet,
		.header_len = c->start,
		.offset = c->start,
		.length = c->f->length - c->start};
	memcpy(c->packet, c->header, c->start);
	if (o->gso_type) {
		u32 done = c->index * o->gso_size;

		p->offset += done;
		p->length = MIN(p->length - done, o->gso_size);
		if (c->packet[c->ip] >> 4 == 4)
			ip4_fill(c, c->start - c->ip + p->length);
		else
			net_put16(c->packet + c->ip + 4,
				(u16)(c->start - c->ip - IP6_HEADER + p->length));
		tcp_fill(c, p);
	} else if (o->flags & NET_NEEDS_CSUM) {
		checksum_fill(c, p);
	}
	c->index++;
	return true;
}
