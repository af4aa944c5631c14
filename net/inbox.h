// SPDX-License-Identifier: MIT
// A bounded queue of frames, as bytes in a ring: one producer and one consumer at a time, with no lock between them.
#pragma once

#include "net/frame.h"

struct net_inbox {
	u8 *ring;
	u32 size;
	u64 put; // producer: bytes ever put in
	u64 got; // consumer: bytes ever taken out
	struct net_segment seg[2];
};

// ring: zeroed memory of `size` bytes, a power of two, that stays the caller's.
void net_inbox_init(struct net_inbox *b, u8 *ring, u32 size);

// The producer's: copies the frame. false: no room, or its parts are not as long as it says.
bool net_inbox_put(struct net_inbox *b, const struct net_frame *f);

// The producer's, and the consumer's: does no frame wait?
bool net_inbox_is_empty(const struct net_inbox *b);

// The consumer's: the oldest frame, in place until net_inbox_next takes it out. false: there is none.
bool net_inbox_peek(struct net_inbox *b, struct net_frame *f);
void net_inbox_next(struct net_inbox *b);
