// SPDX-License-Identifier: MIT
// The instruction decoder: walks prefixes, opcode, ModRM and immediates by the opcode maps.
#include "kernel/vm/decode.h"
#include "kernel/vm/decode_tables.h"
#include "lib/errno.h"

// What is known of the instruction while it is being read.
struct decoder {
	struct insn insn;
	const u8 *bytes;
	size_t avail;
	enum decode_mode mode;
	int error; // the first one; from then on bytes read as 0
	u8 modrm;
	u8 pp;     // mandatory prefix
	u8 vex_l;  // VEX.L
	u8 vex_w;  // VEX.W, also where it is no operand size
	bool vvvv; // a second source is named
};

static u8 next_byte(struct decoder *d)
{
	if (d->error)
		return 0;
	if (d->insn.length >= INSN_LENGTH_MAX) {
		d->error = -EINVAL;
		return 0;
	}
	if (d->insn.length >= d->avail) {
		d->error = -EAGAIN;
		return 0;
	}
	return d->bytes[d->insn.length++];
}

static u8 peek_byte(struct decoder *d)
{
	u8 byte = next_byte(d);

	if (!d->error)
		d->insn.length--;
	return byte;
}

// A little-endian number of 0 to 8 bytes, sign-extended.
static s64 next_number(struct decoder *d, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (u64)next_byte(d) << (8 * i);
	if (!size || size >= 8)
		return (s64)value;
	return (s64)(value << (64 - 8 * size)) >> (64 - 8 * size);
}

static void undefined(struct decoder *d)
{
	if (!d->error)
		d->error = -EINVAL;
}

// In 64-bit code the four old segment prefixes do nothing, not even cancel FS or GS.
static void set_segment(struct decoder *d, u8 segment)
{
	if (d->mode == DECODE_64 && segment < SEG_FS)
		return;
	d->insn.segment = segment;
	d->insn.prefixes |= INSN_SEGMENT;
}

static bool take_legacy_prefix(struct decoder *d, u8 byte)
{
	u8 *prefixes = &d->insn.prefixes;

	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		set_segment(d, (byte >> 3) & 3);
		return true;
	case 0x64:
	case 0x65:
		set_segment(d, byte & 7);
		return true;
	case 0x66:
		*prefixes |= INSN_OPSIZE;
		return true;
	case 0x67:
		*prefixes |= INSN_ADDRSIZE;
		return true;
	case 0xf0:
		*prefixes |= INSN_LOCK;
		return true;
	case 0xf2:
		*prefixes = (u8)((*prefixes & ~INSN_REP) | INSN_REPNE);
		return true;
	case 0xf3:
		*prefixes = (u8)((*prefixes & ~INSN_REPNE) | INSN_REP);
		return true;
	default:
		return false;
	}
}

// Returns the first byte of the opcode. A REX prefix counts only directly before it.
static u8 read_prefixes(struct decoder *d)
{
	u8 byte;

	for (;;) {
		byte = next_byte(d);
		if (d->error)
			return 0;
		if (take_legacy_prefix(d, byte))
			d->insn.rex = 0;
		else if (d->mode == DECODE_64 && (byte & 0xf0) == INSN_REX)
			d->insn.rex = byte;
		else
			break;
	}
	if (d->insn.prefixes & INSN_REPNE)
		d->pp = PP_F2;
	else if (d->insn.prefixes & INSN_REP)
		d->pp = PP_F3;
	else if (d->insn.prefixes & INSN_OPSIZE)
		d->pp = PP_66;
	return byte;
}

// The last payload byte of VEX, XOP and the middle one of EVEX: W vvvv L pp.
static void take_vex_fields(struct decoder *d, u8 byte)
{
	d->vex_w = byte >> 7;
	d->vex_l = (byte >> 2) & 1;
	d->pp = byte & 3;
	d->insn.vvvv = (u8)~byte >> 3 & 15;
	d->vvvv = d->insn.vvvv != 0;
	if (d->mode == DECODE_64)
		d->insn.rex |= (u8)(d->vex_w << 3);
	else
		d->insn.vvvv &= 7;
}

// R, X and B stand inverted in the top bits; only 64-bit code has them.
static void take_vex_rxb(struct decoder *d, u8 byte)
{
	d->insn.rex = INSN_REX;
	if (d->mode == DECODE_64)
		d->insn.rex |= (u8)~byte >> 5;
}

// The prefixes below replace 66, F2, F3, LOCK and REX, and do not go with them.
static void check_alone(struct decoder *d)
{
	if (d->insn.rex || d->insn.prefixes & (INSN_OPSIZE | INSN_REP | INSN_REPNE | INSN_LOCK))
		undefined(d);
}

static void read_vex(struct decoder *d, bool three_bytes)
{
	u8 byte, map = 1;

	check_alone(d);
	byte = next_byte(d);
	take_vex_rxb(d, three_bytes ? byte : byte | 0x60);
	if (three_bytes) {
		map = byte & 31;
		byte = next_byte(d);
	} else {
		byte &= 0x7f;
	}
	take_vex_fields(d, byte);
	if (map < 1 || map > 3)
		undefined(d);
	d->insn.map = (u8)(INSN_VEX_0F + map - 1);
}

static void read_xop(struct decoder *d)
{
	u8 byte, map;

	check_alone(d);
	byte = next_byte(d);
	take_vex_rxb(d, byte);
	map = byte & 31;
	take_vex_fields(d, next_byte(d));
	if (map < 8 || map > 10)
		undefined(d);
	d->insn.map = (u8)(INSN_XOP_8 + map - 8);
}

static void read_evex(struct decoder *d)
{
	static const u8 maps[8] = {[1] = INSN_EVEX_0F,
		[2] = INSN_EVEX_0F38,
		[3] = INSN_EVEX_0F3A,
		[5] = INSN_EVEX_5,
		[6] = INSN_EVEX_6};
	u8 byte;

	check_alone(d);
	byte = next_byte(d);
	take_vex_rxb(d, byte);
	d->insn.map = maps[byte & 7];
	if (byte & 8 || !d->insn.map)
		undefined(d);
	byte = next_byte(d);
	take_vex_fields(d, byte);
	if (!(byte & 4))
		undefined(d);
	next_byte(d); // z, L'L, b, V', aaa
}

// Reads the escapes and the opcode. C4, C5 and 62 are LES, LDS and BOUND outside 64-bit code unless their
// ModRM would name a register; 8F is POP while its ModRM.reg is 0.
static void read_opcode(struct decoder *d)
{
	u8 byte = read_prefixes(d);
	bool is_vex = (byte == 0xc4 || byte == 0xc5 || byte == 0x62) &&
		      (d->mode == DECODE_64 || peek_byte(d) >= 0xc0);

	if (byte == 0x0f) {
		d->insn.map = INSN_0F;
		byte = next_byte(d);
		if (byte == 0x38 || byte == 0x3a) {
			d->insn.map = byte == 0x38 ? INSN_0F38 : INSN_0F3A;
			byte = next_byte(d);
		}
	} else if (is_vex || (byte == 0x8f && (peek_byte(d) & 31) >= 8)) {
		if (byte == 0x62)
			read_evex(d);
		else if (byte == 0x8f)
			read_xop(d);
		else
			read_vex(d, byte == 0xc4);
		byte = next_byte(d);
	}
	d->insn.opcode = byte;
}

static void set_sizes(struct decoder *d)
{
	static const u8 address[][2] = {
		[DECODE_16] = {2, 4}, [DECODE_32] = {4, 2}, [DECODE_64] = {8, 4}};
	static const u8 operand[][2] = {
		[DECODE_16] = {2, 4}, [DECODE_32] = {4, 2}, [DECODE_64] = {4, 2}};
	struct insn *insn = &d->insn;

	insn->address_size = address[d->mode][!!(insn->prefixes & INSN_ADDRSIZE)];
	insn->operand_size = operand[d->mode][!!(insn->prefixes & INSN_OPSIZE)];
	if (insn->rex & INSN_REX_W)
		insn->operand_size = 8;
}

// Finds the letter of the opcode in its map, '.' when it has none.
static char find_cell(const struct decoder *d, unsigned map, u8 opcode)
{
	const struct opcode_map *m = &opcode_maps[map];
	unsigned high = opcode >> 4, low = opcode & 15;

	if (map == INSN_PRIMARY)
		return m->rows[high].cells[low];
	for (unsigned i = 0; i < m->row_count; i++) {
		const struct opcode_row *row = &m->rows[i];

		if (row->high == high && row->prefixes >> d->pp & 1 && row->cells[low] != '.')
			return row->cells[low];
	}
	return '.';
}

static void check_rules(struct decoder *d)
{
	const struct opcode_map *m = &opcode_maps[d->insn.map];
	u8 modrm = d->insn.has_modrm ? d->modrm : 0xc0;

	for (unsigned i = 0; i < m->rule_count; i++) {
		const struct opcode_rule *r = &m->rules[i];

		if (d->insn.opcode < r->first || d->insn.opcode > r->last)
			continue;
		if (!(r->prefixes >> d->pp & 1) || !(r->modes >> d->mode & 1))
			continue;
		if (modrm >= 0xc0 ? r->registers >> (modrm & 63) & 1
				  : r->memory >> (modrm >> 3 & 7) & 1)
			return;
	}
	undefined(d);
}

static void read_modrm_16(struct decoder *d)
{
	static const u8 bases[8] = {
		GPR_RBX, GPR_RBX, GPR_RBP, GPR_RBP, GPR_RSI, GPR_RDI, GPR_RBP, GPR_RBX};
	static const u8 indexes[4] = {GPR_RSI, GPR_RDI, GPR_RSI, GPR_RDI};
	struct insn *insn = &d->insn;
	u8 rm = d->modrm & 7;

	insn->base = bases[rm];
	if (rm < 4)
		insn->index = indexes[rm];
	if (insn->mod == 0 && rm == 6) {
		insn->base = INSN_NO_REG;
		insn->disp = next_number(d, 2);
	} else {
		insn->disp = next_number(d, insn->mod);
	}
}

static void read_modrm_32(struct decoder *d)
{
	struct insn *insn = &d->insn;
	u8 base = d->modrm & 7;
	bool sib = base == 4;

	if (sib) {
		u8 byte = next_byte(d);
		u8 index = (u8)((byte >> 3 & 7) | (insn->rex & INSN_REX_X ? 8 : 0));

		base = byte & 7;
		insn->scale = byte >> 6;
		if (index != GPR_RSP)
			insn->index = index;
	}
	if (insn->mod == 0 && base == 5) {
		insn->rip_relative = d->mode == DECODE_64 && !sib;
		insn->disp = next_number(d, 4);
		return;
	}
	insn->base = (u8)(base | (insn->rex & INSN_REX_B ? 8 : 0));
	insn->disp = next_number(d, insn->mod == 2 ? 4 : insn->mod);
}

static void read_modrm(struct decoder *d, bool always_registers)
{
	struct insn *insn = &d->insn;

	d->modrm = next_byte(d);
	if (always_registers)
		d->modrm |= 0xc0;
	insn->has_modrm = true;
	insn->mod = d->modrm >> 6;
	insn->reg = (u8)((d->modrm >> 3 & 7) | (insn->rex & INSN_REX_R ? 8 : 0));
	insn->rm = (u8)((d->modrm & 7) | (insn->rex & INSN_REX_B ? 8 : 0));
	if (insn->mod == 3)
		return;
	insn->has_memory = true;
	if (insn->address_size == 2)
		read_modrm_16(d);
	else
		read_modrm_32(d);
	if (!(insn->prefixes & INSN_SEGMENT) && (insn->base == GPR_RSP || insn->base == GPR_RBP))
		insn->segment = SEG_SS;
}

static void read_immediate(struct decoder *d, unsigned size)
{
	d->insn.imm_size = (u8)size;
	d->insn.imm = next_number(d, size);
}

// Reads what a letter of the legacy maps says.
static void read_operands(struct decoder *d, char letter)
{
	struct insn *insn = &d->insn;
	unsigned z = insn->operand_size == 2 ? 2 : 4;
	bool group_imm;

	switch (letter) {
	case 'c':
	case 'g':
	case 'h':
	case 'i':
	case 'k':
	case 'm':
	case 'x':
		read_modrm(d, letter == 'c');
	}
	group_imm = (insn->reg & 7) < 2;

	switch (letter) {
	case 'b':
	case 'i':
		read_immediate(d, 1);
		break;
	case 'w':
		read_immediate(d, 2);
		break;
	case 'e':
		read_immediate(d, 3);
		break;
	case 'z':
	case 'k':
		read_immediate(d, z);
		break;
	case 'j':
		read_immediate(d, d->mode == DECODE_64 ? 4 : z);
		break;
	case 'v':
		read_immediate(d, insn->operand_size);
		break;
	case 'f':
		read_immediate(d, z + 2);
		break;
	case 'g':
		read_immediate(d, group_imm ? 1 : 0);
		break;
	case 'h':
		read_immediate(d, group_imm ? z : 0);
		break;
	case 'x':
		read_immediate(d, d->pp == PP_66 || d->pp == PP_F2 ? 2 : 0);
		break;
	case 'o':
		insn->has_memory = true;
		insn->disp = next_number(d, insn->address_size);
		break;
	}
}

static void read_3dnow(struct decoder *d)
{
	read_modrm(d, false);
	d->insn.map = INSN_3DNOW;
	d->insn.opcode = next_byte(d);
	if (find_cell(d, INSN_3DNOW, d->insn.opcode) == '.')
		undefined(d);
}

// Of VEX: map 3 has an immediate everywhere, map 1 where the legacy map has one. Of XOP: map 8 and map A.
static void read_vex_operands(struct decoder *d, char letter)
{
	u8 opcode = d->insn.opcode;

	if (letter != 'z')
		read_modrm(d, false);
	if (d->insn.map == INSN_VEX_0F3A || d->insn.map == INSN_XOP_8)
		read_immediate(d, 1);
	else if (d->insn.map == INSN_XOP_A)
		read_immediate(d, 4);
	else if (d->insn.map == INSN_VEX_0F &&
		 ((opcode & 0xfc) == 0x70 || opcode == 0xc2 || (opcode >= 0xc4 && opcode <= 0xc6)))
		read_immediate(d, 1);
}

// Compares L, W and vvvv with the table in decode_tables.h.
static void check_vex_letter(struct decoder *d, char letter)
{
	unsigned n;
	bool vvvv_free;

	if (letter == 's')
		letter = d->insn.has_memory ? 'a' : 'j';
	if (letter == 'z')
		letter = 'a';
	n = (unsigned)(letter - 'a');
	vvvv_free = n >= 9;
	n %= 9;
	if ((d->vvvv && !vvvv_free) || (n / 3 && n / 3 - 1 != d->vex_l) ||
		(n % 3 && n % 3 - 1 != d->vex_w))
		undefined(d);
}

// Control registers are 0, 2, 3, 4 and 8, debug registers 0-7 and AVX-512's masks 0-7: R and the top of
// vvvv may not name others.
static void check_registers(struct decoder *d)
{
	const struct insn *insn = &d->insn;
	u8 op = insn->opcode;
	bool is_mask = (insn->map == INSN_VEX_0F &&
			       (op >> 4 == 4 || (op >= 0x90 && op <= 0x99 && op != 0x93))) ||
		       (insn->map == INSN_VEX_0F3A && op >= 0x30 && op <= 0x33);

	if (insn->map == INSN_0F && (op & 0xfc) == 0x20 && (op & 1 ? insn->reg > 7 : insn->reg > 8))
		undefined(d);
	if (is_mask && (insn->reg > 7 || insn->vvvv > 7))
		undefined(d);
}

// LOCK needs a memory operand and one of the read-modify-write instructions (APM vol. 3, 1.2.5).
static bool is_lockable(const struct insn *insn)
{
	u8 op = insn->opcode, reg = insn->reg & 7;

	if (!insn->has_memory)
		return false;
	if (insn->map == INSN_PRIMARY) {
		if (op < 0x38)
			return (op & 7) < 2;
		switch (op) {
		case 0x80 ... 0x83:
			return reg != 7;
		case 0x86 ... 0x87:
			return true;
		case 0xf6 ... 0xf7:
			return reg == 2 || reg == 3;
		case 0xfe ... 0xff:
			return reg < 2;
		}
		return false;
	}
	if (insn->map != INSN_0F)
		return false;
	switch (op) {
	case 0xab:
	case 0xb0 ... 0xb1:
	case 0xb3:
	case 0xbb:
	case 0xc0 ... 0xc1:
		return true;
	case 0xba:
		return reg > 4;
	case 0xc7:
		return reg == 1;
	}
	return false;
}

int decode_insn(struct insn *out, const u8 *bytes, size_t avail, enum decode_mode mode)
{
	struct decoder d = {.bytes = bytes, .avail = avail, .mode = mode};
	char letter;
	bool ruled, vex;

	d.insn.segment = SEG_DS;
	d.insn.base = d.insn.index = INSN_NO_REG;
	read_opcode(&d);
	if (d.error)
		return d.error;
	set_sizes(&d);

	letter = find_cell(&d, d.insn.map, d.insn.opcode);
	ruled = letter >= 'A' && letter <= 'Z';
	letter |= 0x20; // lower case; '.' stays what it is
	vex = d.insn.map >= INSN_VEX_0F && d.insn.map <= INSN_XOP_A;

	if (d.insn.map == INSN_0F && d.insn.opcode == 0x0f)
		read_3dnow(&d);
	else if (letter == '.')
		undefined(&d);
	else if (vex)
		read_vex_operands(&d, letter);
	else
		read_operands(&d, letter);

	if (vex && !d.error)
		check_vex_letter(&d, letter);
	if (ruled && !d.error)
		check_rules(&d);
	check_registers(&d);
	if (d.insn.prefixes & INSN_LOCK && !is_lockable(&d.insn))
		undefined(&d);
	if (!d.error)
		*out = d.insn;
	return d.error;
}
