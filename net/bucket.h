// SPDX-License-Identifier: MIT
// A token bucket: so many units a second, and a burst that may come at once.
#pragma once

#include "lib/types.h"

#define NET_BUCKET_RATE_MAX (1ull << 40) // units a second

struct net_bucket {
	u64 rate;  // units a second; 0: no limit
	u64 burst; // units at most
	u64 units; // there now
	u64 time;  // ns: until when what flowed in is counted
};

// Full. rate is at most NET_BUCKET_RATE_MAX; now in ns, from a clock that does not go back.
void net_bucket_init(struct net_bucket *b, u64 rate, u64 burst, u64 now);

// Takes n units if they are there.
bool net_bucket_take(struct net_bucket *b, u64 n, u64 now);
