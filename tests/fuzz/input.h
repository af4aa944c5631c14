// SPDX-License-Identifier: MIT
// Reads a fuzzer's input as a stream of numbers; at its end it yields zeros.
#pragma once

#include "lib/types.h"

#include <stdlib.h>
#include <string.h>

struct input {
	const u8 *at;
	size_t left;
};

static inline u64 input_number(struct input *in, size_t bytes)
{
	u64 v = 0;
	size_t n = MIN(bytes, in->left);

	memcpy(&v, in->at, n);
	in->at += n;
	in->left -= n;
	return v;
}

static inline u8 input_u8(struct input *in)
{
	return (u8)input_number(in, 1);
}

static inline u16 input_u16(struct input *in)
{
	return (u16)input_number(in, 2);
}

static inline u32 input_u32(struct input *in)
{
	return (u32)input_number(in, 4);
}

static inline u64 input_u64(struct input *in)
{
	return input_number(in, 8);
}

// The rule that a fuzzer checks: what fails is a finding.
#define MUST(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond))                                                                       \
			abort();                                                                   \
	} while (0)
