// SPDX-License-Identifier: MIT
// Frames through the ring of an inbox: in order, whole, around its end, and none when it is full.
// link: net/inbox.c net/frame.c
#include "tests/unit/test.h"

#include "net/inbox.h"

#define SIZE 4096u

static u8 bytes[3000];
static struct net_segment segs[3];

static struct net_frame frame(u32 length, u8 mark)
{
	struct net_frame f = {.length = length, .head_len = MIN(length, NET_HEAD), .seg = segs};
	u32 rest = length - f.head_len, a = rest / 3;

	for (u32 i = 0; i < length; i++)
		bytes[i] = (u8)(mark + i * 7);
	memcpy(f.head, bytes, f.head_len);
	segs[0] = (struct net_segment){bytes + f.head_len, a};
	segs[1] = (struct net_segment){bytes + f.head_len + a, 0};
	segs[2] = (struct net_segment){bytes + f.head_len + a, rest - a};
	f.segs = 3;
	f.offload = (struct net_offload){1, mark, 2, 3, 4, 5};
	return f;
}

static bool next_is(struct net_inbox *b, u32 length, u8 mark)
{
	static u8 seen[3000];
	struct net_frame f;

	if (!net_inbox_peek(b, &f) || f.length != length || f.offload.gso_type != mark ||
		f.offload.csum_offset != 5 || !net_frame_read(&f, 0, seen, length))
		return false;
	net_inbox_next(b);
	for (u32 i = 0; i < length; i++)
		if (seen[i] != (u8)(mark + i * 7))
			return false;
	return true;
}

TEST(around_the_end)
{
	static _Alignas(16) u8 ring[SIZE];
	struct net_inbox b;
	struct net_frame f;

	net_inbox_init(&b, ring, SIZE);
	CHECK(!net_inbox_peek(&b, &f));
	for (u32 i = 0; i < 20000; i++) {
		u32 length = 14 + i * 37 % 2000;

		f = frame(length, (u8)i);
		CHECK(net_inbox_put(&b, &f));
		f = frame(60, (u8)(i + 1));
		CHECK(net_inbox_put(&b, &f));
		CHECK(next_is(&b, length, (u8)i));
		CHECK(next_is(&b, 60, (u8)(i + 1)));
	}
	CHECK(!net_inbox_peek(&b, &f));
}

TEST(full)
{
	static _Alignas(16) u8 ring[SIZE];
	struct net_inbox b;
	struct net_frame f;

	net_inbox_init(&b, ring, SIZE);
	for (u8 round = 0; round < 10; round++) {
		u32 n = 0;

		for (;; n++) {
			f = frame(500, (u8)n);
			if (!net_inbox_put(&b, &f))
				break;
		}
		CHECK_EQ(n, SIZE / 528);
		for (u32 i = 0; i < n; i++)
			CHECK(next_is(&b, 500, (u8)i));
		f = frame(SIZE - 16 - 1200, 9); // to another place in the ring
		CHECK(net_inbox_put(&b, &f));
		CHECK(next_is(&b, SIZE - 16 - 1200, 9));
	}
}

TEST(parts_of_another_length)
{
	static _Alignas(16) u8 ring[SIZE];
	struct net_inbox b;
	struct net_frame f;

	net_inbox_init(&b, ring, SIZE);
	f = frame(500, 1);
	f.length = 501;
	CHECK(!net_inbox_put(&b, &f));
	f.length = 499;
	CHECK(!net_inbox_put(&b, &f));
	f.length = 30;
	CHECK(!net_inbox_put(&b, &f));
	f.length = 0xffffffff;
	CHECK(!net_inbox_put(&b, &f));
	CHECK(!net_inbox_peek(&b, &f));
}

TEST_MAIN()
