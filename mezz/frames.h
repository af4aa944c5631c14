// SPDX-License-Identifier: MIT
// The framing of abi/console.h, both ways.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "abi/bundle.h"
#include "abi/console.h"

#define FRAMES_RAW     (-1) // the channel of bytes outside of frames
#define FRAMES_PAYLOAD 255  // most bytes in a frame
#define FRAMES_HEADER  3

// What was received so far of a frame; starts as all zero.
struct frames {
	unsigned have;   // bytes of the header and the payload
	unsigned length; // of the payload
	uint8_t bytes[FRAMES_HEADER + FRAMES_PAYLOAD];
};

// Takes a channel, or FRAMES_RAW, and bytes that are valid during the call only.
typedef void frames_sink(void *arg, int channel, const uint8_t *bytes, size_t n);

// Decodes bytes as they come, in pieces of any size. A start byte that no known channel and length follow is
// an ordinary byte outside of frames, so that garbage costs at most one frame's worth of bytes.
void frames_decode(struct frames *f, const uint8_t *bytes, size_t n, frames_sink *sink, void *arg);

// The line has ended: what is left of an unfinished frame is given to the sink as FRAMES_RAW.
void frames_finish(struct frames *f, frames_sink *sink, void *arg);

// Writes a frame with n (1..FRAMES_PAYLOAD) bytes to out and returns its length, n + FRAMES_HEADER.
size_t frames_encode(uint8_t channel, const uint8_t *bytes, size_t n, uint8_t *out);
