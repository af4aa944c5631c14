// SPDX-License-Identifier: MIT
// ChaCha20 (RFC 8439) as a random generator with fast key erasure.
#include "lib/chacha20.h"

#include "lib/string.h"

static u32 rotate(u32 x, unsigned n)
{
	return x << n | x >> (32 - n);
}

static void quarter_round(u32 *s, unsigned a, unsigned b, unsigned c, unsigned d)
{
	s[a] += s[b];
	s[d] = rotate(s[d] ^ s[a], 16);
	s[c] += s[d];
	s[b] = rotate(s[b] ^ s[c], 12);
	s[a] += s[b];
	s[d] = rotate(s[d] ^ s[a], 8);
	s[c] += s[d];
	s[b] = rotate(s[b] ^ s[c], 7);
}

void chacha20_block(const u32 key[8], u32 counter, const u32 nonce[3], u8 out[CHACHA20_BLOCK])
{
	u32 start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, key[0], key[1], key[2],
		key[3], key[4], key[5], key[6], key[7], counter, nonce[0], nonce[1], nonce[2]};
	u32 s[16];

	memcpy(s, start, sizeof(s));
	for (unsigned i = 0; i < 10; i++) {
		for (unsigned n = 0; n < 4; n++)
			quarter_round(s, n, n + 4, n + 8, n + 12);
		for (unsigned n = 0; n < 4; n++)
			quarter_round(s, n, 4 + (n + 1) % 4, 8 + (n + 2) % 4, 12 + (n + 3) % 4);
	}
	for (unsigned i = 0; i < 16; i++)
		s[i] += start[i];
	memcpy(out, s, sizeof(s));
}

static const u32 no_nonce[3];

// The first half of block 0 is the next key; what is given out begins with block 1.
void chacha20_random_fill(struct chacha20_random *r, void *to, size_t n)
{
	u8 block[CHACHA20_BLOCK];
	u32 next[8];

	chacha20_block(r->key, 0, no_nonce, block);
	memcpy(next, block, sizeof(next));
	for (u32 counter = 1; n; counter++) {
		size_t part = MIN(n, sizeof(block));

		chacha20_block(r->key, counter, no_nonce, block);
		for (size_t i = 0; i < part; i++)
			((u8 *)to)[i] = block[i];
		to = (u8 *)to + part;
		n -= part;
	}
	memcpy(r->key, next, sizeof(next));
}

void chacha20_random_seed(struct chacha20_random *r, const u32 seed[8])
{
	u8 nothing[1];

	for (unsigned i = 0; i < 8; i++)
		r->key[i] ^= seed[i];
	chacha20_random_fill(r, nothing, 0);
}
