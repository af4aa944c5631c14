// SPDX-License-Identifier: MIT
// The virtual switch with ports of every kind that come and go, frames of any content, and time; what it delivers is
// made into packets. VLANs stay apart, a locked port hears and says only what it may, tables stay whole.
// link: net/switch.c net/stations.c net/vlan.c net/bucket.c net/frame.c net/offload.c net/checksum.c
// cc: -fno-sanitize-coverage=trace-cmp
// fuzz: -max_len=512
#include "net/offload.h"
#include "net/stations.h"
#include "net/switch.h"
#include "net/vlan.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define PORTS 6

static struct net_switch sw;
static struct net_port port[PORTS];
static u8 vlans[(NET_VLANS + 7) / 8];
static struct net_port *from; // whose frame is underway

// Every byte of what a receiver would get is read.
static void packets_make(const struct net_frame *f)
{
	static u8 buf[NET_FRAME_MAX];
	struct net_cut c;
	struct net_packet p;
	u32 n = 0;

	if (!net_cut_begin(&c, f, 0))
		return;
	while (net_cut_next(&c, &p)) {
		MUST(++n <= NET_FRAME_MAX / NET_GSO_MIN + 1 && p.header_len <= NET_HEADERS_MAX);
		MUST(p.offset + p.length <= f->length);
		memcpy(buf, p.header, p.header_len);
		MUST(net_frame_read(f, p.offset, buf, p.length));
	}
}

static bool deliver(struct net_port *to, const struct net_frame *f)
{
	u64 dst = net_addr(f->head), src = net_addr(f->head + NET_ADDR);

	MUST(to != from && to->sw == &sw);
	MUST(!from->config.locked || src == from->config.addr);
	MUST(!to->config.locked || net_addr_is_group(dst) || dst == to->config.addr);
	MUST(!to->config.locked || src != to->config.addr);
	if (!to->config.trunk && !from->config.trunk)
		MUST(to->config.vlan == from->config.vlan);
	MUST(f->head_len <= f->length && f->head_len <= sizeof(f->head));
	packets_make(f);
	return f->length % 7;
}

static void port_change(struct input *in, struct net_port *p, u64 now)
{
	u8 kind = input_u8(in);
	u8 addr = input_u8(in) % 8;

	net_switch_detach(p);
	*p = (struct net_port){.deliver = deliver};
	p->config = (struct net_port_config){.trunk = kind & 1,
		.locked = kind & 2,
		.uplink = kind & 4,
		.vlan = (u16)(kind & 8 ? kind >> 4 : 0),
		.vlans = kind & 16 ? vlans : NULL,
		.addr = addr,
		.storm = kind & 32 ? 3 : 0,
		.rate = kind & 64 ? 20000 : 0};
	net_switch_attach(&sw, p, now);
}

static void frame_send(struct input *in, u64 now)
{
	static u8 rest[NET_FRAME_MAX];
	struct net_segment seg[2];
	struct net_frame f = {.seg = seg, .segs = 2};
	u8 op = input_u8(in);
	u32 cut;

	f.length = op & 1 ? input_u16(in) : 64 + input_u8(in);
	f.head_len = MIN(f.length, NET_HEAD);
	if (op & 2) { // a header that may be cut
		net_put16(f.head + 12, NET_TYPE_IPV4);
		f.head[14] = 0x45;
		f.head[23] = 6;
		f.head[46] = 0x50;
		f.offload = (struct net_offload){1, NET_GSO_TCPV4, 0, 0, 34, 16};
	}
	f.head[5] = input_u8(in) % 8;
	f.head[11] = input_u8(in) % 8;
	f.head[0] = op & 4 ? 1 : 0;
	if (op & 8) {
		net_put16(f.head + 12, NET_TYPE_VLAN);
		net_put16(f.head + 14, input_u8(in));
	}
	for (u32 i = op & 16 ? input_u8(in) % 16u : 0; i; i--)
		f.head[input_u8(in) % NET_HEAD] = input_u8(in);
	if (op & 32) {
		f.offload.flags = input_u8(in);
		f.offload.gso_type = input_u8(in);
		f.offload.csum_start = input_u16(in);
		f.offload.csum_offset = input_u8(in);
	}
	f.offload.gso_size = input_u16(in);
	cut = (f.length - f.head_len) / 3;
	seg[0] = (struct net_segment){rest, cut};
	seg[1] = (struct net_segment){rest + cut, f.length - f.head_len - cut};
	from = &port[(op >> 6 | (input_u8(in) & 4)) % PORTS];
	if (!net_offload_check(&f))
		return;
	net_switch_input(from, &f, now);
}

static void invariants(void)
{
	u32 stations[PORTS] = {0};

	for (u32 i = 0; i < NET_TABLE; i++) {
		const struct net_station *e = &sw.table[i];

		if (!e->key)
			continue;
		MUST(e->port >= port && e->port < port + PORTS && e->port->sw == &sw);
		MUST(net_vlan_member(&e->port->config, (u16)e->key));
		stations[e->port - port]++;
	}
	for (u32 i = 0; i < PORTS; i++)
		MUST(stations[i] == port[i].stations);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = {data, size};
	u64 now = 1;

	memset(port, 0, sizeof(port));
	vlans[0] = 0x2c;
	net_switch_init(&sw, 0x5eed);
	for (u32 i = 0; i < PORTS; i++)
		port_change(&in, &port[i], now);
	while (in.left) {
		u8 op = input_u8(&in);

		if (op < 16)
			port_change(&in, &port[op % PORTS], now);
		else if (op < 32)
			now += (u64)op * 1000000000ull;
		else
			frame_send(&in, now);
	}
	invariants();
	return 0;
}
