// SPDX-License-Identifier: MIT
// The decoder's first part: legacy prefixes, REX, VEX, XOP, EVEX and the escapes, up to the opcode.
#include "kernel/vm/decode_internal.h"
#include "kernel/vm/decode_tables.h"

// In 64-bit code the four old segment prefixes do nothing, not even cancel FS or GS.
static void set_segment(struct decoder *d, u8 segment)
{
	if (d->mode == DECODE_64 && segment < SEG_FS)
		return;
	d->insn->segment = segment;
	d->insn->prefixes |= INSN_SEGMENT;
}

static bool is_legacy_prefix(u8 byte)
{
	static const u64 set[4] = {
		BIT(0x26) | BIT(0x2e) | BIT(0x36) | BIT(0x3e),
		BIT(0x64 - 64) | BIT(0x65 - 64) | BIT(0x66 - 64) | BIT(0x67 - 64),
		0,
		BIT(0xf0 - 192) | BIT(0xf2 - 192) | BIT(0xf3 - 192),
	};

	return set[byte >> 6] >> (byte & 63) & 1;
}

static void take_legacy_prefix(struct decoder *d, u8 byte)
{
	u8 *prefixes = &d->insn->prefixes;

	switch (byte) {
	case 0x64 ... 0x65:
		set_segment(d, byte & 7);
		break;
	case 0x66:
		*prefixes |= INSN_OPSIZE;
		break;
	case 0x67:
		*prefixes |= INSN_ADDRSIZE;
		break;
	case 0xf0:
		*prefixes |= INSN_LOCK;
		break;
	case 0xf2:
		*prefixes = (u8)((*prefixes & ~INSN_REP) | INSN_REPNE);
		break;
	case 0xf3:
		*prefixes = (u8)((*prefixes & ~INSN_REPNE) | INSN_REP);
		break;
	default:
		set_segment(d, byte >> 3 & 3);
	}
}

// Returns the first byte of the opcode. A REX prefix counts only directly before it.
static u8 read_prefixes(struct decoder *d)
{
	struct insn *insn = d->insn;
	u8 byte;

	for (;;) {
		byte = decode_byte(d);
		if (is_legacy_prefix(byte)) {
			take_legacy_prefix(d, byte);
			insn->rex = 0;
		} else if (d->mode == DECODE_64 && (byte & 0xf0) == INSN_REX) {
			insn->rex = byte;
		} else {
			break;
		}
	}
	if (insn->prefixes & INSN_REPNE)
		d->pp = PP_F2;
	else if (insn->prefixes & INSN_REP)
		d->pp = PP_F3;
	else if (insn->prefixes & INSN_OPSIZE)
		d->pp = PP_66;
	return byte;
}

// VEX, XOP and EVEX replace 66, F2, F3, LOCK and REX, and do not go with them.
static void check_alone(struct decoder *d)
{
	if (d->insn->rex || d->insn->prefixes & (INSN_OPSIZE | INSN_REP | INSN_REPNE | INSN_LOCK))
		decode_fail(d, -EINVAL);
}

// R, X and B stand inverted in the top bits; only 64-bit code has them.
static void take_rxb(struct decoder *d, u8 byte)
{
	d->insn->rex = INSN_REX;
	if (d->mode == DECODE_64)
		d->insn->rex |= (u8)~byte >> 5;
}

// The byte W vvvv L pp; EVEX has a fixed 1 for L.
static void take_wvlp(struct decoder *d, u8 byte)
{
	d->vex_w = byte >> 7;
	d->vex_l = byte >> 2 & 1;
	d->pp = byte & 3;
	d->insn->vvvv = (u8)~byte >> 3 & 15;
	if (d->mode == DECODE_64)
		d->insn->rex |= (u8)(d->vex_w << 3);
}

// C5: R vvvv L pp. C4: R X B map, W vvvv L pp. 8F: as C4.
static void read_vex(struct decoder *d, u8 first_map, u8 last_map, u8 insn_map, bool is_short)
{
	u8 byte, map = 1;

	check_alone(d);
	byte = decode_byte(d);
	take_rxb(d, is_short ? byte | 0x60 : byte);
	if (is_short) {
		byte &= 0x7f;
	} else {
		map = byte & 31;
		byte = decode_byte(d);
	}
	take_wvlp(d, byte);
	if (map < first_map || map > last_map)
		decode_fail(d, -EINVAL);
	else
		d->insn->map = (u8)(insn_map + map - first_map);
}

// 62: R X B R' 0 map, W vvvv 1 pp, z L'L b V' aaa.
static void read_evex(struct decoder *d)
{
	static const u8 maps[8] = {[1] = INSN_EVEX_0F,
		[2] = INSN_EVEX_0F38,
		[3] = INSN_EVEX_0F3A,
		[5] = INSN_EVEX_5,
		[6] = INSN_EVEX_6};
	u8 byte;

	check_alone(d);
	byte = decode_byte(d);
	take_rxb(d, byte);
	d->insn->map = maps[byte & 7];
	if (byte & 8 || !d->insn->map)
		decode_fail(d, -EINVAL);
	take_wvlp(d, decode_byte(d));
	if (!d->vex_l)
		decode_fail(d, -EINVAL);
	decode_byte(d);
}

// C4, C5 and 62 are LES, LDS and BOUND outside 64-bit code, unless their ModRM would name a
// register; 8F is POP while its ModRM.reg is 0.
static bool is_vex_prefix(struct decoder *d, u8 byte)
{
	if (byte == 0x8f)
		return (decode_peek(d) & 31) >= 8;
	if (byte != 0xc4 && byte != 0xc5 && byte != 0x62)
		return false;
	return d->mode == DECODE_64 || decode_peek(d) >= 0xc0;
}

void decode_opcode(struct decoder *d)
{
	u8 byte = read_prefixes(d);

	if (byte == 0x0f) {
		d->insn->map = INSN_0F;
		byte = decode_byte(d);
		if (byte == 0x38 || byte == 0x3a) {
			d->insn->map = byte == 0x38 ? INSN_0F38 : INSN_0F3A;
			byte = decode_byte(d);
		}
	} else if (is_vex_prefix(d, byte)) {
		if (byte == 0x62)
			read_evex(d);
		else if (byte == 0x8f)
			read_vex(d, 8, 10, INSN_XOP_8, false);
		else
			read_vex(d, 1, 3, INSN_VEX_0F, byte == 0xc5);
		byte = decode_byte(d);
	}
	d->insn->opcode = byte;
}
