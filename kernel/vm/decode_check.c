// SPDX-License-Identifier: MIT
// The decoder's last part: whether the processor would refuse what was read.
#include "kernel/vm/decode_internal.h"
#include "kernel/vm/decode_tables.h"

static bool obeys_rules(const struct decoder *d)
{
	const struct opcode_map *map = &opcode_maps[d->insn->map];
	u8 opcode = d->insn->opcode, modrm = d->insn->has_modrm ? d->modrm : 0xc0;

	for (unsigned i = 0; i < map->rule_count; i++) {
		const struct opcode_rule *r = &map->rules[i];

		if (opcode < r->first || opcode > r->last)
			continue;
		if (!(r->prefixes >> d->pp & 1) || !(r->modes >> d->mode & 1))
			continue;
		if (modrm >= 0xc0 ? r->registers >> (modrm & 63) & 1
				  : r->memory >> (modrm >> 3 & 7) & 1)
			return true;
	}
	return false;
}

// Compares L, W and vvvv with the letter: three rows of three, twice (decode_tables.h).
static bool fits_vex_letter(const struct decoder *d, char letter)
{
	unsigned n, l, w;

	if (letter == 's')
		letter = d->insn->has_memory ? 'a' : 'j';
	if (letter == 'z')
		letter = 'a';
	n = (unsigned)(letter - 'a');
	l = n % 9 / 3;
	w = n % 3;
	return (n >= 9 || !d->insn->vvvv) && (!l || l - 1 == d->vex_l) && (!w || w - 1 == d->vex_w);
}

// Control registers are 0, 2, 3, 4 and 8, debug registers and AVX-512's masks 0-7: R and the top of
// vvvv may not name others. Outside 64-bit code, where there is no R, vvvv counts its three low
// bits.
static bool names_registers(const struct decoder *d)
{
	const struct insn *insn = d->insn;
	u8 op = insn->opcode;
	bool is_mask = (insn->map == INSN_VEX_0F &&
			       (op >> 4 == 4 || (op >= 0x90 && op <= 0x99 && op != 0x93))) ||
		       (insn->map == INSN_VEX_0F3A && op >= 0x30 && op <= 0x33);

	if (insn->map == INSN_0F && (op & 0xfc) == 0x20)
		return insn->reg <= (op & 1 ? 7 : 8);
	return !is_mask || (insn->reg <= 7 && (insn->vvvv <= 7 || d->mode != DECODE_64));
}

// LOCK needs a memory operand and a read-modify-write instruction (APM vol. 3, 1.2.5).
static bool is_lockable(const struct insn *insn)
{
	u8 op = insn->opcode, reg = insn->reg & 7;

	if (!insn->has_memory)
		return false;
	if (insn->map == INSN_PRIMARY) {
		switch (op) {
		case 0x00 ... 0x37:
			return (op & 7) < 2;
		case 0x80 ... 0x83:
			return reg != 7;
		case 0x86 ... 0x87:
			return true;
		case 0xf6 ... 0xf7:
			return reg == 2 || reg == 3;
		case 0xfe ... 0xff:
			return reg < 2;
		}
	} else if (insn->map == INSN_0F) {
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
	}
	return false;
}

void decode_check(struct decoder *d, char letter)
{
	bool ruled = letter >= 'A' && letter <= 'Z';

	if ((ruled && !obeys_rules(d)) || !names_registers(d) ||
		(decode_is_vex(d->insn) && !fits_vex_letter(d, (char)(letter | 0x20))) ||
		(d->insn->prefixes & INSN_LOCK && !is_lockable(d->insn)))
		decode_fail(d, -EINVAL);
}
