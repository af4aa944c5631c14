// SPDX-License-Identifier: MIT
// Token buckets that lose no fraction of a unit, however often they are asked.
#include "net/bucket.h"

#define SECOND 1000000000ull

void net_bucket_init(struct net_bucket *b, u64 rate, u64 burst, u64 now)
{
	*b = (struct net_bucket){.rate = MIN(rate, NET_BUCKET_RATE_MAX),
		.burst = burst,
		.units = burst,
		.time = now};
}

// What flowed in since b->time. `time` moves on by what whole units took, so that the rest counts the next time; after
// a second or more it is made simple, as nothing overflows then.
static void refill(struct net_bucket *b, u64 now)
{
	u64 passed = now - b->time, seconds = passed / SECOND, units;

	if (now <= b->time)
		return;
	if (seconds) {
		units = seconds > b->burst / b->rate ? b->burst : seconds * b->rate;
		b->time += seconds * SECOND;
	} else if (b->rate <= SECOND) {
		units = passed * b->rate / SECOND;
		b->time += units * SECOND / b->rate;
	} else { // in microseconds, as ns times such a rate may overflow
		units = passed / 1000 * b->rate / (SECOND / 1000);
		b->time += passed / 1000 * 1000;
	}
	b->units = b->burst - b->units < units ? b->burst : b->units + units;
}

bool net_bucket_take(struct net_bucket *b, u64 n, u64 now)
{
	if (!b->rate)
		return true;
	refill(b, now);
	if (b->units < n)
		return false;
	b->units -= n;
	return true;
}
