// SPDX-License-Identifier: MIT
// The ring walk: rings anywhere, descriptors and indexes as the input says, all operations in any order.
// link: devices/virtqueue.c devices/host_test/host_test.c
// cc: -fno-sanitize-coverage=trace-cmp
// fuzz: -max_len=512
#include "devices/host_test/host_test.h"
#include "devices/virtqueue.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

// An address: mostly in the memory there is, now and then anything.
static u64 address(struct input *in)
{
	u16 a = input_u16(in);

	return a == 0xffff ? input_u64(in) : (u64)a * 2 % (HOST_TEST_PAGES * PAGE_SIZE);
}

static void chain_check(const struct virtqueue *q, const struct virtqueue_chain *c)
{
	u64 sum[2] = {0, 0};

	MUST(!q->broken && c->segs && c->segs <= c->max && c->segs <= q->s.size);
	MUST(c->readable <= c->segs);
	for (unsigned i = 0; i < c->segs; i++) {
		MUST(c->seg[i].gpa + c->seg[i].len >= c->seg[i].gpa);
		sum[i >= c->readable] += c->seg[i].len;
	}
	MUST(sum[0] == c->read_bytes && sum[1] == c->write_bytes && sum[0] + sum[1] <= 4 * GiB);
}

static void queue_use(struct input *in, struct virtqueue *q)
{
	static struct host_segment segs[VIRTQUEUE_MAX];
	struct virtqueue_chain c = {.seg = segs, .max = (u16)(1 + input_u8(in))};
	bool broken = q->broken;
	u8 buf[300];

	if (!virtqueue_peek(q, &c))
		return;
	MUST(!broken);
	chain_check(q, &c);
	memset(buf, 0x5a, sizeof(buf));
	MUST(virtqueue_read(q, &c, input_u16(in), buf, sizeof(buf)) <= sizeof(buf));
	MUST(virtqueue_write(q, &c, input_u8(in), buf, sizeof(buf)) <= sizeof(buf));
	virtqueue_next(q);
	virtqueue_push(q, c.head, (u32)c.write_bytes);
}

static void step(struct input *in, struct host *h, struct virtqueue *q)
{
	u8 op = input_u8(in);

	switch (op % 8) {
	case 0: { // a descriptor, in the queue's table or in any other
		struct {
			u64 addr;
			u32 len;
			u16 flags, next;
		} d = {address(in), input_u16(in), input_u8(in), input_u8(in)};
		u64 table = op & 8 ? address(in) : q->s.desc;

		if (op & 16)
			d.len <<= 16;
		host_guest_write(h, table + 16ull * input_u8(in), &d, sizeof(d));
		break;
	}
	case 1: { // a head
		u16 head = input_u8(in);

		host_guest_write(h, q->s.driver + 4 + 2ull * input_u8(in), &head, 2);
		break;
	}
	case 2: { // the available index
		u16 idx = (u16)(q->s.next_avail + (op >> 3));

		host_guest_write(h, q->s.driver + 2, &idx, 2);
		break;
	}
	case 3: { // bytes anywhere
		u64 v = input_u64(in);

		host_guest_write(h, address(in), &v, 1 + (op >> 3) % 8);
		break;
	}
	case 4:
	case 5:
		queue_use(in, q);
		break;
	case 6:
		virtqueue_wants_interrupt(q);
		break;
	case 7:
		virtqueue_set_kicks(q, op & 8);
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct host *h;
	struct input in = {data, size};
	struct virtqueue q;
	u8 flags = input_u8(&in);

	if (!h)
		h = host_test_create();
	host_test_clear(h);
	virtqueue_reset(&q, h, (u16)(1u << flags % 9));
	if (flags & 0x80)
		q.s.size = input_u16(&in);
	q.s.desc = ALIGN_DOWN(address(&in), 16);
	q.s.driver = address(&in);
	q.s.device = ALIGN_DOWN(address(&in), 4);
	q.s.next_avail = q.s.next_used = q.s.signalled = input_u16(&in);
	q.indirect = flags & 0x10;
	q.event_idx = flags & 0x20;
	virtqueue_enable(&q);
	while (in.left)
		step(&in, h, &q);
	return 0;
}
