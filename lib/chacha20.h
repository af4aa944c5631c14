// SPDX-License-Identifier: MIT
// The ChaCha20 block function (RFC 8439, section 2.3), and a random generator made of it that forgets its past.
#pragma once

#include "lib/types.h"

#define CHACHA20_BLOCK 64u

// 64 bytes of key stream for a key of 8 words, a counter and a nonce of 3 words.
void chacha20_block(const u32 key[8], u32 counter, const u32 nonce[3], u8 out[CHACHA20_BLOCK]);

// A generator: after each call its key is new, so that what was given out cannot be computed from its state.
struct chacha20_random {
	u32 key[8];
};

// Mixes 32 bytes into the key; what was there counts, too.
void chacha20_random_seed(struct chacha20_random *r, const u32 seed[8]);
void chacha20_random_fill(struct chacha20_random *r, void *to, size_t n); // n below 256 GiB
