// SPDX-License-Identifier: MIT
// The ring walk: rings anywhere, descriptors and indexes as the input says, all operations in any order; with a log, which
// is the input's at first, chains are held, and the process dies now and then.
// link: devices/virtqueue.c devices/host_test/host_test.c
// cc: -fno-sanitize-coverage=trace-cmp
// fuzz: -max_len=512
#include "devices/host_test/host_test.h"
#include "devices/virtqueue.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static struct virtqueue_log queue_log;
static u16 held[VIRTQUEUE_MAX]; // chains that were taken and not given back
static unsigned helds;

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

static void queue_open(struct virtqueue *q, struct host *h, const struct virtqueue *as)
{
	virtqueue_reset(q, h, as->s.size);
	q->s.desc = as->s.desc;
	q->s.driver = as->s.driver;
	q->s.device = as->s.device;
	q->s.next_avail = q->s.next_used = q->s.signalled = as->s.next_avail;
	q->indirect = as->indirect;
	q->event_idx = as->event_idx;
	q->log = as->log;
	virtqueue_enable(q);
}

// Another process, which knows nothing of chains that were held.
static void queue_resume(struct virtqueue *q)
{
	struct virtqueue before = *q;

	helds = 0;
	queue_open(q, before.host, &before);
	virtqueue_resume(q);
}

// What is out is what is held and what is to be taken again.
static void log_check(const struct virtqueue *q)
{
	unsigned marks = 0;

	for (unsigned i = 0; i < VIRTQUEUE_MAX; i++)
		marks += queue_log.taken[i / 64] >> i % 64 & 1;
	MUST(q->broken || (!queue_log.giving && marks == helds + q->redo && marks <= q->s.size));
}

static void queue_use(struct input *in, struct virtqueue *q, bool hold)
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
	if (hold && !q->broken && helds < VIRTQUEUE_MAX)
		held[helds++] = c.head;
	else
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
		queue_use(in, q, q->log && op & 8);
		break;
	case 6:
		if (!(op & 0x38) || !q->log)
			virtqueue_wants_interrupt(q);
		else if (op & 8)
			queue_resume(q);
		else if (helds)
			virtqueue_push(q, held[--helds], input_u8(in));
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
	struct virtqueue q = {0};
	u8 flags = input_u8(&in);

	if (!h)
		h = host_test_create();
	host_test_clear(h);
	q.host = h;
	q.s.size = (u16)(1u << flags % 9);
	if (flags & 0x80)
		q.s.size = input_u16(&in);
	q.s.desc = ALIGN_DOWN(address(&in), 16);
	q.s.driver = address(&in);
	q.s.device = ALIGN_DOWN(address(&in), 4);
	q.s.next_avail = q.s.next_used = q.s.signalled = input_u16(&in);
	q.indirect = flags & 0x10;
	q.event_idx = flags & 0x20;
	if (flags & 0x40) {
		queue_log = (struct virtqueue_log){.giving = input_u64(&in)};
		for (unsigned i = 0; i < ARRAY_SIZE(queue_log.taken); i++)
			queue_log.taken[i] = input_u8(&in);
		q.log = &queue_log;
		queue_resume(&q);
	} else {
		struct virtqueue as = q;

		queue_open(&q, h, &as);
	}
	while (in.left) {
		step(&in, h, &q);
		if (q.log)
			log_check(&q);
	}
	return 0;
}
