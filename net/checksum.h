// SPDX-License-Identifier: MIT
// The Internet checksum (RFC 1071) over bytes that come in pieces.
#pragma once

#include "lib/types.h"

struct net_sum {
	u64 sum;  // of 16-bit words in the machine's (little-endian) order, not folded
	bool odd; // an odd number of bytes was added
};

void net_sum_add(struct net_sum *s, const u8 *bytes, u32 len);

// Of at most 2^32 bytes: the value to be put into a packet, big-endian as net_put16 writes; never 0 (0xffff then).
u16 net_sum_finish(const struct net_sum *s);
