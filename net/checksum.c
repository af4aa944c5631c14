// SPDX-License-Identifier: MIT
// One's complement sums, eight bytes at a time.
#include "net/checksum.h"

#include "lib/string.h"

static u64 fold(u64 sum)
{
	for (unsigned i = 0; i < 4; i++)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

void net_sum_add(struct net_sum *s, const u8 *bytes, u32 len)
{
	u64 sum = 0;
	u32 at = 0;

	for (; len - at >= 8; at += 8) {
		u32 word[2];

		memcpy(word, bytes + at, 8);
		sum += (u64)word[0] + word[1];
	}
	for (; len - at >= 2; at += 2)
		sum += (u64)bytes[at] | (u64)bytes[at + 1] << 8;
	if (at < len)
		sum += bytes[at];
	sum = fold(sum);
	s->sum += s->odd ? (sum & 0xff) << 8 | sum >> 8 : sum;
	s->odd ^= len & 1;
}

u16 net_sum_finish(const struct net_sum *s)
{
	u16 sum = (u16)~fold(s->sum);

	sum = (u16)(sum << 8 | sum >> 8);
	return sum ? sum : 0xffff;
}
