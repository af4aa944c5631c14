// SPDX-License-Identifier: MIT
// Merging of packets that a hostile network sends: connections whose packets are changed in places. What comes of them is
// what a guest may be given (net_offload_check), can be cut again, and has no more bytes of data than went in.
// link: net/merge.c net/frame.c net/offload.c net/checksum.c
// cc: -fno-sanitize-coverage=trace-cmp
// fuzz: -max_len=512
#include "net/checksum.h"
#include "net/merge.h"
#include "net/offload.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define BATCH  64u
#define BUFFER 1600u
#define FLOWS  6u

static struct net_merge merge;
static u8 buffer[BATCH][BUFFER];
static u32 next_seq[FLOWS];
static u64 came, went;

static void deliver(void *to, const struct net_frame *f)
{
	static u8 all[NET_FRAME_MAX];
	struct net_frame checked = *f;
	struct net_packet p;
	struct net_cut cut;
	u32 n = 0;

	MUST(to == &merge);
	MUST(f->length <= NET_FRAME_MAX - NET_TAG && f->head_len == MIN(f->length, NET_HEAD));
	MUST(net_frame_read(f, 0, all, f->length));
	went += f->length;
	MUST(went <= came);
	if (!f->offload.gso_type) {
		MUST(f->length < BUFFER && !(f->offload.flags & ~NET_DATA_VALID));
		return;
	}
	MUST(net_offload_check(&checked) && checked.offload.gso_type == f->offload.gso_type);
	MUST(net_cut_begin(&cut, f, 0));
	while (net_cut_next(&cut, &p)) {
		MUST(++n <= NET_MERGE_PACKETS && p.header_len + p.length < BUFFER);
		MUST(net_frame_read(f, p.offset, all, p.length));
	}
	MUST(n > 1);
}

// A TCP packet of one of the flows; returns its length.
static u32 packet_make(struct input *in, u8 *p)
{
	u32 flow = input_u8(in) % FLOWS, size = input_u8(in), at;
	u32 ip = flow & 1 ? 18 : 14, tcp = ip + (flow & 2 ? 40 : 20);
	u32 payload = size < 64 ? 0 : size < 128 ? size : 1400;

	memset(p, 0, BUFFER);
	at = tcp + 20;
	p[5] = (u8)flow;
	net_put16(p + 12, NET_TYPE_VLAN);
	net_put16(p + ip - 2, flow & 2 ? NET_TYPE_IPV6 : NET_TYPE_IPV4);
	p[ip] = flow & 2 ? 0x60 : 0x45;
	p[ip + (flow & 2 ? 6 : 9)] = 6;
	net_put16(p + ip + (flow & 2 ? 4 : 2), (u16)(at - (flow & 2 ? tcp : ip) + payload));
	if (!(flow & 2))
		p[ip + 6] = 0x40;
	net_put32(p + tcp + 4, next_seq[flow]);
	net_put32(p + tcp + 8, input_u8(in));
	p[tcp + 12] = 0x50;
	p[tcp + 13] = 0x10;
	next_seq[flow] += payload;
	return at + payload;
}

// Changes bytes of the headers, or nothing; IP's own checksum is right afterwards, more often than not.
static void packet_change(struct input *in, u8 *p)
{
	u8 changes = input_u8(in);

	for (u32 i = 0; i < changes % 4u; i++)
		p[input_u8(in) % 110] = input_u8(in);
	if (changes < 200) {
		u32 ip = net_get16(p + 12) == NET_TYPE_VLAN ? 18 : 14;
		struct net_sum sum = {0};

		net_put16(p + ip + 10, 0);
		net_sum_add(&sum, p + ip, 20);
		if (p[ip] >> 4 == 4)
			net_put16(p + ip + 10, net_sum_finish(&sum));
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = {data, size};

	memset(&merge, 0, sizeof(merge));
	merge.deliver = deliver;
	merge.to = &merge;
	came = went = 0;
	for (u32 n = 0; in.left && n < 4 * BATCH; n++) {
		u8 *p = buffer[n % BATCH];
		u32 len = packet_make(&in, p);

		packet_change(&in, p);
		if (input_u8(&in) == 0)
			len = MAX((u32)NET_ETHERNET, input_u8(&in) * len / 256);
		came += len;
		net_merge_add(&merge, p, len, input_u8(&in) < 250);
		if (n % BATCH == BATCH - 1)
			net_merge_end(&merge);
	}
	net_merge_end(&merge);
	return 0;
}
