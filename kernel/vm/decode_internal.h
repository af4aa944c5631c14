// SPDX-License-Identifier: MIT
// What the parts of the decoder share: the instruction while it is being read.
#pragma once

#include "kernel/vm/decode.h"
#include "lib/errno.h"

struct decoder {
	struct insn *insn;
	const u8 *bytes;
	u8 at, limit; // bytes read, bytes that may be read
	u8 mode;      // enum decode_mode
	u8 modrm;
	u8 pp;        // mandatory prefix
	u8 vex_l;     // VEX.L
	u8 vex_w;     // VEX.W, also where it is no operand size
	int error;    // the first one, else 0
	int at_limit; // what it means to need more bytes
};

static inline void decode_fail(struct decoder *d, int error)
{
	if (!d->error)
		d->error = error;
}

// From the first byte that is missing on all bytes read as 0.
static inline u8 decode_peek(struct decoder *d)
{
	if (d->at < d->limit)
		return d->bytes[d->at];
	decode_fail(d, d->at_limit);
	return 0;
}

static inline u8 decode_byte(struct decoder *d)
{
	u8 byte = decode_peek(d);

	d->at = (u8)(d->at + (d->at < d->limit));
	return byte;
}

// Reads prefixes and escapes up to the opcode: fills map, opcode, prefixes, rex, vvvv, segment and
// the decoder's prefix fields.
void decode_opcode(struct decoder *d);

// Checks what goes beyond the opcode: ModRM, LOCK, registers, VEX fields. letter: of the opcode
// map.
void decode_check(struct decoder *d, char letter);

static inline bool decode_is_vex(const struct insn *insn)
{
	return insn->map >= INSN_VEX_0F && insn->map <= INSN_XOP_A;
}
