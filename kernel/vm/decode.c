// SPDX-License-Identifier: MIT
// The instruction decoder: finds the opcode in its map and reads what the map says that follows.
#include "kernel/vm/decode.h"
#include "kernel/vm/decode_internal.h"
#include "kernel/vm/decode_tables.h"

// A little-endian number of 0 to 8 bytes, sign-extended.
static s64 read_number(struct decoder *d, unsigned size)
{
	u64 value = 0;
	unsigned unused = 64 - 8 * size;

	for (unsigned i = 0; i < size; i++)
		value |= (u64)decode_byte(d) << (8 * i);
	return size ? (s64)(value << unused) >> unused : 0;
}

static void set_sizes(struct insn *insn, enum decode_mode mode)
{
	static const u8 address[3][2] = {{2, 4}, {4, 2}, {8, 4}};
	static const u8 operand[3][2] = {{2, 4}, {4, 2}, {4, 2}};

	insn->address_size = address[mode][(insn->prefixes & INSN_ADDRSIZE) != 0];
	insn->operand_size = operand[mode][(insn->prefixes & INSN_OPSIZE) != 0];
	if (insn->rex & INSN_REX_W)
		insn->operand_size = 8;
}

// The letter of the opcode in its map, '.' when it has none. The rows are sorted by the opcode's
// high digit.
static char find_letter(const struct opcode_map *map, u8 opcode, u8 pp)
{
	unsigned high = opcode >> 4, low = 0, end = map->row_count;

	while (low < end) {
		unsigned middle = (low + end) / 2;

		if (map->rows[middle].high < high)
			low = middle + 1;
		else
			end = middle;
	}
	for (; low < map->row_count && map->rows[low].high == high; low++) {
		char letter = map->rows[low].cells[opcode & 15];

		if (letter != '.' && map->rows[low].prefixes >> pp & 1)
			return letter;
	}
	return '.';
}

static void read_memory_16(struct decoder *d)
{
	static const u8 bases[8] = {
		GPR_RBX, GPR_RBX, GPR_RBP, GPR_RBP, GPR_RSI, GPR_RDI, GPR_RBP, GPR_RBX};
	static const u8 indexes[8] = {GPR_RSI, GPR_RDI, GPR_RSI, GPR_RDI, INSN_NO_REG, INSN_NO_REG,
		INSN_NO_REG, INSN_NO_REG};
	struct insn *insn = d->insn;
	u8 rm = d->modrm & 7;
	bool absolute = insn->mod == 0 && rm == 6;

	insn->base = absolute ? INSN_NO_REG : bases[rm];
	insn->index = indexes[rm];
	insn->disp = read_number(d, absolute ? 2 : insn->mod);
}

static void read_memory_32(struct decoder *d)
{
	struct insn *insn = d->insn;
	u8 base = d->modrm & 7;
	bool has_sib = base == 4;

	if (has_sib) {
		u8 sib = decode_byte(d);
		u8 index = (u8)((sib >> 3 & 7) | (insn->rex & INSN_REX_X ? 8 : 0));

		base = sib & 7;
		insn->scale = sib >> 6;
		if (index != GPR_RSP)
			insn->index = index;
	}
	if (insn->mod == 0 && base == 5) {
		insn->rip_relative = d->mode == DECODE_64 && !has_sib;
		insn->disp = read_number(d, 4);
		return;
	}
	insn->base = (u8)(base | (insn->rex & INSN_REX_B ? 8 : 0));
	insn->disp = read_number(d, insn->mod == 2 ? 4 : insn->mod);
}

static void read_modrm(struct decoder *d, bool always_registers)
{
	struct insn *insn = d->insn;

	d->modrm = decode_byte(d);
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
		read_memory_16(d);
	else
		read_memory_32(d);
	if (!(insn->prefixes & INSN_SEGMENT) && (insn->base == GPR_RSP || insn->base == GPR_RBP))
		insn->segment = SEG_SS;
}

static void read_immediate(struct decoder *d, unsigned size)
{
	d->insn->imm_size = (u8)size;
	d->insn->imm = read_number(d, size);
}

// What a letter of the legacy and EVEX maps stands for: ModRM, and the immediate's size for
// operands of 2, 4, 8 bytes.
static const struct {
	bool modrm;
	u8 imm[3];
} letters['z' - 'a' + 1] = {
	['b' - 'a'] = {false, {1, 1, 1}},
	['c' - 'a'] = {true, {0, 0, 0}},
	['e' - 'a'] = {false, {3, 3, 3}},
	['f' - 'a'] = {false, {4, 6, 6}},
	['g' - 'a'] = {true, {1, 1, 1}},
	['h' - 'a'] = {true, {2, 4, 4}},
	['i' - 'a'] = {true, {1, 1, 1}},
	['j' - 'a'] = {false, {2, 4, 4}},
	['k' - 'a'] = {true, {2, 4, 4}},
	['m' - 'a'] = {true, {0, 0, 0}},
	['v' - 'a'] = {false, {2, 4, 8}},
	['w' - 'a'] = {false, {2, 2, 2}},
	['x' - 'a'] = {true, {2, 2, 2}},
	['z' - 'a'] = {false, {2, 4, 4}},
};

static void read_operands(struct decoder *d, char letter)
{
	struct insn *insn = d->insn;
	unsigned imm = letters[letter - 'a'].imm[insn->operand_size / 4];

	if (letters[letter - 'a'].modrm)
		read_modrm(d, letter == 'c');
	switch (letter) {
	case 'g':
	case 'h':
		if ((insn->reg & 7) > 1)
			imm = 0;
		break;
	case 'j':
		if (d->mode == DECODE_64)
			imm = 4;
		break;
	case 'o':
		insn->has_memory = true;
		insn->disp = read_number(d, insn->address_size);
		break;
	case 'x':
		if (d->pp != PP_66 && d->pp != PP_F2)
			imm = 0;
		break;
	}
	if (imm)
		read_immediate(d, imm);
}

// VEX's map 3 and XOP's map 8 have an immediate byte everywhere, VEX's map 1 where the legacy map
// has one, XOP's map A has four bytes.
static void read_vex_operands(struct decoder *d, char letter)
{
	u8 op = d->insn->opcode, map = d->insn->map;

	if (letter != 'z')
		read_modrm(d, false);
	if (map == INSN_XOP_A)
		read_immediate(d, 4);
	else if (map == INSN_VEX_0F3A || map == INSN_XOP_8)
		read_immediate(d, 1);
	else if (map == INSN_VEX_0F && ((op & 0xfc) == 0x70 || (op >= 0xc2 && op <= 0xc6)))
		read_immediate(d, 1);
}

// 0F 0F: the opcode comes last.
static char read_3dnow(struct decoder *d)
{
	read_modrm(d, false);
	d->insn->map = INSN_3DNOW;
	d->insn->opcode = decode_byte(d);
	return find_letter(&opcode_maps[INSN_3DNOW], d->insn->opcode, d->pp);
}

static char read_rest(struct decoder *d)
{
	struct insn *insn = d->insn;
	char letter, lower;

	if (insn->map == INSN_PRIMARY)
		letter = opcode_maps[INSN_PRIMARY].rows[insn->opcode >> 4].cells[insn->opcode & 15];
	else if (insn->map == INSN_0F && insn->opcode == 0x0f)
		return read_3dnow(d);
	else
		letter = find_letter(&opcode_maps[insn->map], insn->opcode, d->pp);
	lower = (char)(letter | 0x20);
	if (letter != '.' && decode_is_vex(insn))
		read_vex_operands(d, lower);
	else if (letter != '.')
		read_operands(d, lower);
	return letter;
}

int decode_insn(struct insn *out, const u8 *bytes, size_t avail, enum decode_mode mode)
{
	struct decoder d = {.insn = out, .bytes = bytes, .mode = (u8)mode};
	char letter;

	d.limit = (u8)MIN(avail, INSN_LENGTH_MAX);
	d.at_limit = avail < INSN_LENGTH_MAX ? -EAGAIN : -EINVAL;
	*out = (struct insn){.base = INSN_NO_REG, .index = INSN_NO_REG, .segment = SEG_DS};

	decode_opcode(&d);
	if (d.error)
		return d.error;
	set_sizes(out, mode);
	letter = read_rest(&d);
	if (letter == '.')
		decode_fail(&d, -EINVAL);
	if (!d.error)
		decode_check(&d, letter);
	out->length = d.at;
	return d.error;
}
