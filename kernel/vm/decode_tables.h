// SPDX-License-Identifier: MIT
// The decoder's opcode maps, and the letters they are written in.
#pragma once

#include "lib/types.h"
#include "kernel/vm/decode.h"

// The mandatory prefix (none, 66, F3 or F2), numbered as in VEX.pp; the maps use sets of them.
enum { PP_NONE, PP_66, PP_F3, PP_F2 };
enum { NP = 1 << PP_NONE, P66 = 1 << PP_66, PF3 = 1 << PP_F3, PF2 = 1 << PP_F2, ANY = 15 };

// Sixteen opcodes of a map: one letter each, '.' where nothing is defined for these prefixes.
//
// Legacy and EVEX: what follows the opcode. A capital means that rules apply.
//   n  nothing                   m  ModRM                      b  imm8
//   i  ModRM, imm8               k  ModRM, imm16/32            w  imm16
//   z  imm16/32                  v  imm16/32/64                j  rel16/32
//   g  ModRM, imm8 for /0, /1    h  ModRM, imm16/32 for /0, /1
//   o  absolute address          f  far pointer                e  imm16, imm8
//   c  ModRM, always registers   x  ModRM; after 66 or F2: ModRM, imm8, imm8
//
// VEX and XOP: which L, W and vvvv are defined. A capital means that rules apply.
//             W any   W0    W1    The first letter of a pair is for vvvv = 1111 only.
//   L any      a j    b k   c l   s is j, but a with a memory operand.
//   L0         d m    e n   f o   z is a without ModRM.
//   L1         g p    h q   i r
struct opcode_row {
	u8 prefixes; // set of mandatory prefixes
	u8 high;     // opcode >> 4
	char cells[16];
};

// An opcode with a capital letter is defined only where one of its rules says so.
struct opcode_rule {
	u8 first, last; // opcodes
	u8 prefixes;    // set of mandatory prefixes
	u8 modes;       // set of 1 << enum decode_mode
	u8 memory;      // values of ModRM.reg allowed with a memory operand
	u64 registers;  // values of ModRM & 63 allowed with mod 3; without ModRM bit 0 counts
};

struct opcode_map {
	const struct opcode_row *rows;
	const struct opcode_rule *rules;
	u16 row_count, rule_count;
};

extern const struct opcode_map opcode_maps[INSN_MAPS];
