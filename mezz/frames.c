// SPDX-License-Identifier: MIT
// The framing of abi/console.h, both ways.
#include "mezz/frames.h"

#include <stdbool.h>
#include <string.h>

static bool is_channel(uint8_t byte)
{
	return byte >= CONSOLE_LOG && byte < CONSOLE_VM + BUNDLE_MAX_VMS;
}

// The bytes kept so far turn out to be no frame's beginning.
static void spill(struct frames *f, frames_sink *sink, void *arg)
{
	if (f->have)
		sink(arg, FRAMES_RAW, f->bytes, f->have);
	f->have = 0;
}

// One byte while a frame may be under way. Returns false when it belongs outside and was not taken.
static bool take(struct frames *f, uint8_t byte, frames_sink *sink, void *arg)
{
	switch (f->have) {
	case 0:
		if (byte != CONSOLE_SOH)
			return false;
		break;
	case 1:
		if (is_channel(byte))
			break;
		spill(f, sink, arg);
		return take(f, byte, sink, arg);
	case 2:
		if (byte) {
			f->length = byte;
			break;
		}
		spill(f, sink, arg);
		return false;
	default:
		break;
	}
	f->bytes[f->have++] = byte;
	if (f->have > FRAMES_HEADER - 1 && f->have == FRAMES_HEADER + f->length) {
		sink(arg, f->bytes[1], f->bytes + FRAMES_HEADER, f->length);
		f->have = 0;
	}
	return true;
}

void frames_decode(struct frames *f, const uint8_t *bytes, size_t n, frames_sink *sink, void *arg)
{
	size_t raw = 0; // bytes before i that belong outside and are not yet given

	for (size_t i = 0; i < n; i++) {
		if (f->have == 0 && bytes[i] != CONSOLE_SOH) {
			raw++;
			continue;
		}
		if (raw)
			sink(arg, FRAMES_RAW, bytes + i - raw, raw);
		raw = take(f, bytes[i], sink, arg) ? 0 : 1;
	}
	if (raw)
		sink(arg, FRAMES_RAW, bytes + n - raw, raw);
}

void frames_finish(struct frames *f, frames_sink *sink, void *arg)
{
	spill(f, sink, arg);
}

size_t frames_encode(uint8_t channel, const uint8_t *bytes, size_t n, uint8_t *out)
{
	out[0] = CONSOLE_SOH;
	out[1] = channel;
	out[2] = (uint8_t)n;
	memcpy(out + FRAMES_HEADER, bytes, n);
	return n + FRAMES_HEADER;
}
