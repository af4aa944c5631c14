// SPDX-License-Identifier: MIT
// The opcode maps, laid out as in the manuals' appendices (AMD64 APM vol. 3 A, Intel SDM vol. 2 A).
#include "kernel/vm/decode_tables.h"

enum {
	ONLY_64 = 1 << DECODE_64,
	NOT_64 = 1 << DECODE_16 | 1 << DECODE_32,
	ALL_MODES = ONLY_64 | NOT_64,
};

// Values of ModRM with mod 3: all, or those whose ModRM.reg is in a set.
#define ALL              (~0ull)
#define SLASH_IF(set, n) ((set) >> (n)&1 ? 0xffull << 8 * (n) : 0)
#define SLASH(set)                                                                                 \
	(SLASH_IF(set, 0) | SLASH_IF(set, 1) | SLASH_IF(set, 2) | SLASH_IF(set, 3) |               \
		SLASH_IF(set, 4) | SLASH_IF(set, 5) | SLASH_IF(set, 6) | SLASH_IF(set, 7))

// What is allowed with a memory operand, what with mod 3.
#define MEM_ONLY   0xff, 0
#define REG_ONLY   0, ALL
#define MEM_OR_REG 0xff, ALL

// One row for each high digit, in order: the decoder indexes it.
static const struct opcode_row map_primary[] = {
	{ANY, 0x0, "mmmmbzNNmmmmbzN."},
	{ANY, 0x1, "mmmmbzNNmmmmbzNN"},
	{ANY, 0x2, "mmmmbz.Nmmmmbz.N"},
	{ANY, 0x3, "mmmmbz.Nmmmmbz.N"},
	{ANY, 0x4, "nnnnnnnnnnnnnnnn"},
	{ANY, 0x5, "nnnnnnnnnnnnnnnn"},
	{ANY, 0x6, "NNMm....zkbinnnn"},
	{ANY, 0x7, "bbbbbbbbbbbbbbbb"},
	{ANY, 0x8, "ikIimmmmmmmmMMMM"},
	{ANY, 0x9, "nnnnnnnnnnFnnnnn"},
	{ANY, 0xa, "oooonnnnbznnnnnn"},
	{ANY, 0xb, "bbbbbbbbvvvvvvvv"},
	{ANY, 0xc, "iiwnmmIKenwnnbNn"},
	{ANY, 0xd, "mmmmBBNnmMMMmMMM"},
	{ANY, 0xe, "bbbbbbbbjjFbnnnn"},
	{ANY, 0xf, ".n..nnghnnnnnnMM"},
};

static const struct opcode_rule map_primary_rules[] = {
	{0x06, 0x07, ANY, NOT_64, REG_ONLY},
	{0x0e, 0x0e, ANY, NOT_64, REG_ONLY},
	{0x16, 0x17, ANY, NOT_64, REG_ONLY},
	{0x1e, 0x1f, ANY, NOT_64, REG_ONLY},
	{0x27, 0x27, ANY, NOT_64, REG_ONLY},
	{0x2f, 0x2f, ANY, NOT_64, REG_ONLY},
	{0x37, 0x37, ANY, NOT_64, REG_ONLY},
	{0x3f, 0x3f, ANY, NOT_64, REG_ONLY},
	{0x60, 0x61, ANY, NOT_64, REG_ONLY},
	{0x62, 0x62, ANY, NOT_64, MEM_ONLY},
	{0x82, 0x82, ANY, NOT_64, MEM_OR_REG},
	{0x8c, 0x8c, ANY, ALL_MODES, 0x3f, SLASH(0x3f)},
	{0x8d, 0x8d, ANY, ALL_MODES, MEM_ONLY},
	{0x8e, 0x8e, ANY, ALL_MODES, 0x3d, SLASH(0x3d)},
	{0x8f, 0x8f, ANY, ALL_MODES, 0x01, SLASH(0x01)},
	{0x9a, 0x9a, ANY, NOT_64, REG_ONLY},
	{0xc6, 0xc7, ANY, ALL_MODES, 0x01, SLASH(0x01) | 1ull << 0x38},
	{0xce, 0xce, ANY, NOT_64, REG_ONLY},
	{0xd4, 0xd6, ANY, NOT_64, REG_ONLY},
	{0xd9, 0xd9, ANY, ALL_MODES, 0xfd, 0xffff7f33ff01ffff},
	{0xda, 0xda, ANY, ALL_MODES, 0xff, 0x00000200ffffffff},
	{0xdb, 0xdb, ANY, ALL_MODES, 0xaf, 0x00ffff1fffffffff},
	{0xdd, 0xdd, ANY, ALL_MODES, 0xdf, SLASH(0x3f)},
	{0xde, 0xde, ANY, ALL_MODES, 0xff, 0xffffffff02ffffff},
	{0xdf, 0xdf, ANY, ALL_MODES, 0xff, 0x00ffff01ffffffff},
	{0xea, 0xea, ANY, NOT_64, REG_ONLY},
	{0xfe, 0xfe, ANY, ALL_MODES, 0x03, SLASH(0x03)},
	{0xff, 0xff, ANY, ALL_MODES, 0x7f, 0x00ff00ff00ffffff},
};

static const struct opcode_row map_0f[] = {
	{ANY, 0x0, "MMmm.nnnnn.n.mn."},
	{ANY, 0x1, "mmM.....mmmmmmmm"},
	{NP | P66 | PF3, 0x1, "......M........."},
	{NP | P66, 0x1, "...Mmm.M........"},
	{ANY, 0x2, "CcCc......mMmm.."},
	{NP | P66, 0x2, "........mm....mm"},
	{ANY, 0x3, "nnnnnn.........."},
	{NP, 0x3, ".......n........"},
	{ANY, 0x4, "mmmmmmmmmmmmmmmm"},
	{ANY, 0x5, ".m......mmm.mmmm"},
	{NP | P66 | PF3, 0x5, "...........m...."},
	{NP | P66, 0x5, "M...mmmm........"},
	{NP | PF3, 0x5, "..mm............"},
	{NP | P66 | PF3, 0x6, "...............m"},
	{NP | P66, 0x6, "mmmmmmmmmmmm..m."},
	{P66, 0x6, "............mm.."},
	{ANY, 0x7, "i..............."},
	{NP | P66 | PF3, 0x7, "..............mm"},
	{NP | P66 | PF2, 0x7, "........XM......"},
	{NP | P66, 0x7, ".IIImmm........."},
	{P66 | PF2, 0x7, "............mm.."},
	{NP, 0x7, ".......n........"},
	{ANY, 0x8, "jjjjjjjjjjjjjjjj"},
	{ANY, 0x9, "mmmmmmmmmmmmmmmm"},
	{ANY, 0xa, "nnnmim..nnnmimMm"},
	{NP | P66 | PF3, 0xa, ".......M........"},
	{PF3, 0xa, "......M........."},
	{ANY, 0xb, "mmMmMMmm.mImmmmm"},
	{PF3, 0xb, "........m......."},
	{ANY, 0xc, "mmi....Mnnnnnnnn"},
	{NP | P66, 0xc, "....iIi........."},
	{NP, 0xc, "...M............"},
	{P66 | PF3 | PF2, 0xd, "......M........."},
	{NP | P66, 0xd, ".mmmmm.Mmmmmmmmm"},
	{P66 | PF2, 0xd, "m..............."},
	{P66 | PF3 | PF2, 0xe, "......m........."},
	{NP | P66, 0xe, "mmmmmm.Mmmmmmmmm"},
	{ANY, 0xf, "...............m"},
	{NP | P66, 0xf, ".mmmmmmMmmmmmmm."},
	{PF2, 0xf, "M..............."},
};

static const struct opcode_rule map_0f_rules[] = {
	{0x00, 0x00, ANY, ALL_MODES, 0x3f, SLASH(0x3f)},
	{0x01, 0x01, NP, ALL_MODES, 0xdf, 0xfeffc1fffff38f3f},
	{0x01, 0x01, NP, ONLY_64, 0, 0x0100000000000000},
	{0x01, 0x01, P66, ALL_MODES, 0xdf, 0x32ff00ffff001000},
	{0x01, 0x01, P66, ONLY_64, 0, 0x010000000000e000},
	{0x01, 0x01, PF3, ALL_MODES, 0xff, 0x36ff05ffff000000},
	{0x01, 0x01, PF3, ONLY_64, 0, 0xc100f00000000000},
	{0x01, 0x01, PF2, ALL_MODES, 0xdf, 0xb2ff03ffff000000},
	{0x01, 0x01, PF2, ONLY_64, 0, 0x4100000000000000},
	{0x12, 0x12, NP | PF3 | PF2, ALL_MODES, MEM_OR_REG},
	{0x12, 0x12, P66, ALL_MODES, MEM_ONLY},
	{0x13, 0x13, NP | P66, ALL_MODES, MEM_ONLY},
	{0x16, 0x16, NP | PF3, ALL_MODES, MEM_OR_REG},
	{0x16, 0x16, P66, ALL_MODES, MEM_ONLY},
	{0x17, 0x17, NP | P66, ALL_MODES, MEM_ONLY},
	{0x20, 0x20, ANY, ALL_MODES, 0x1d, SLASH(0x1d)},
	{0x22, 0x22, ANY, ALL_MODES, 0x1d, SLASH(0x1d)},
	{0x2b, 0x2b, ANY, ALL_MODES, MEM_ONLY},
	{0x50, 0x50, NP | P66, ALL_MODES, REG_ONLY},
	{0x71, 0x72, NP | P66, ALL_MODES, 0, SLASH(0x54)},
	{0x73, 0x73, NP, ALL_MODES, 0, SLASH(0x44)},
	{0x73, 0x73, P66, ALL_MODES, 0, SLASH(0xcc)},
	{0x78, 0x79, NP, ALL_MODES, MEM_OR_REG},
	{0x78, 0x78, P66, ALL_MODES, 0, SLASH(0x01)},
	{0x78, 0x78, PF2, ALL_MODES, REG_ONLY},
	{0x79, 0x79, P66 | PF2, ALL_MODES, REG_ONLY},
	{0xa6, 0xa6, PF3, ALL_MODES, 0, 0x10101},
	{0xa7, 0xa7, NP | P66, ALL_MODES, 0, 0x1},
	{0xa7, 0xa7, PF3, ALL_MODES, 0, 0x10101010101},
	{0xae, 0xae, NP, ALL_MODES, 0xff, SLASH(0xe0)},
	{0xae, 0xae, P66, ALL_MODES, 0xc0, SLASH(0x40)},
	{0xae, 0xae, PF3, ALL_MODES, 0x50, SLASH(0x70)},
	{0xae, 0xae, PF3, ONLY_64, 0, SLASH(0x0f)},
	{0xae, 0xae, PF2, ALL_MODES, 0, SLASH(0x40)},
	{0xb2, 0xb2, ANY, ALL_MODES, MEM_ONLY},
	{0xb4, 0xb5, ANY, ALL_MODES, MEM_ONLY},
	{0xba, 0xba, ANY, ALL_MODES, 0xf0, SLASH(0xf0)},
	{0xc3, 0xc3, NP, ALL_MODES, MEM_ONLY},
	{0xc5, 0xc5, NP | P66, ALL_MODES, REG_ONLY},
	{0xc7, 0xc7, NP, ALL_MODES, 0xfa, SLASH(0xc0)},
	{0xc7, 0xc7, P66, ALL_MODES, 0x42, SLASH(0xc0)},
	{0xc7, 0xc7, PF3, ALL_MODES, 0x42, SLASH(0x80)},
	{0xc7, 0xc7, PF3, ONLY_64, 0, SLASH(0x40)},
	{0xc7, 0xc7, PF2, ALL_MODES, 0x02, 0},
	{0xd6, 0xd6, P66, ALL_MODES, MEM_OR_REG},
	{0xd6, 0xd6, PF3 | PF2, ALL_MODES, REG_ONLY},
	{0xd7, 0xd7, NP | P66, ALL_MODES, REG_ONLY},
	{0xe7, 0xe7, NP | P66, ALL_MODES, MEM_ONLY},
	{0xf0, 0xf0, PF2, ALL_MODES, MEM_ONLY},
	{0xf7, 0xf7, NP | P66, ALL_MODES, REG_ONLY},
};

static const struct opcode_row map_0f38[] = {
	{NP | P66, 0x0, "mmmmmmmmmmmm...."},
	{NP | P66, 0x1, "............mmm."},
	{P66, 0x1, "m...mm.m........"},
	{P66, 0x2, "mmmmmm..mmMm...."},
	{P66, 0x3, "mmmmmm.mmmmmmmmm"},
	{P66, 0x4, "mm.............."},
	{P66, 0x8, "MMM............."},
	{NP, 0xc, "........mmmmmm.."},
	{P66, 0xc, "...............m"},
	{P66 | PF3, 0xd, "............mMMM"},
	{P66, 0xd, "...........m...."},
	{PF3, 0xd, "........M......."},
	{NP | P66 | PF3, 0xf, "......M........."},
	{NP | P66 | PF2, 0xf, "MM.............."},
	{P66 | PF3 | PF2, 0xf, "........M......."},
	{NP, 0xf, ".........M......"},
	{P66, 0xf, ".....M.........."},
	{PF3, 0xf, "..........MM...."},
};

static const struct opcode_rule map_0f38_rules[] = {
	{0x2a, 0x2a, P66, ALL_MODES, MEM_ONLY},
	{0x80, 0x82, P66, ALL_MODES, MEM_ONLY},
	{0xd8, 0xd8, PF3, ALL_MODES, 0x0f, 0},
	{0xdd, 0xdf, P66, ALL_MODES, MEM_OR_REG},
	{0xdd, 0xdf, PF3, ALL_MODES, MEM_ONLY},
	{0xf0, 0xf1, NP | P66, ALL_MODES, MEM_ONLY},
	{0xf0, 0xf1, PF2, ALL_MODES, MEM_OR_REG},
	{0xf5, 0xf5, P66, ALL_MODES, MEM_ONLY},
	{0xf6, 0xf6, NP, ALL_MODES, MEM_ONLY},
	{0xf6, 0xf6, P66 | PF3, ALL_MODES, MEM_OR_REG},
	{0xf8, 0xf8, P66 | PF3 | PF2, ALL_MODES, MEM_ONLY},
	{0xf9, 0xf9, NP, ALL_MODES, MEM_ONLY},
	{0xfa, 0xfb, PF3, ALL_MODES, REG_ONLY},
};

static const struct opcode_row map_0f3a[] = {
	{NP | P66, 0x0, "...............i"},
	{P66, 0x0, "........iiiiiii."},
	{P66, 0x1, "....iiii........"},
	{P66, 0x2, "iii............."},
	{P66, 0x4, "iii.i..........."},
	{P66, 0x6, "iiii............"},
	{NP, 0xc, "............i..."},
	{P66, 0xc, "..............ii"},
	{P66, 0xd, "...............i"},
	{PF3, 0xf, "I..............."},
};

static const struct opcode_rule map_0f3a_rules[] = {
	{0xf0, 0xf0, PF3, ALL_MODES, 0, 0x1},
};

// The suffix byte of 0F 0F.
static const struct opcode_row map_3dnow[] = {
	{ANY, 0x0, "............nn.."},
	{ANY, 0x1, "............nn.."},
	{ANY, 0x8, "..........n...n."},
	{ANY, 0x9, "n...n.nn..n...n."},
	{ANY, 0xa, "n...n.nn..n...n."},
	{ANY, 0xb, "n...n.nn...n...n"},
};

static const struct opcode_row vex_0f[] = {
	{NP | P66, 0x1, "aa.Djj.D........"},
	{PF3 | PF2, 0x1, "ssa............."},
	{NP, 0x1, "..m...m........."},
	{P66, 0x1, "..M...M........."},
	{PF3, 0x1, "......a........."},
	{NP | P66, 0x2, "........aa.A..aa"},
	{PF3 | PF2, 0x2, "..........j.aa.."},
	{NP | P66, 0x4, ".PP.DPPP..P....."},
	{NP, 0x4, "...........P...."},
	{P66, 0x4, "...........Q...."},
	{ANY, 0x5, "........jj..jjjj"},
	{NP | P66 | PF3, 0x5, "...........a...."},
	{NP | P66, 0x5, "Aa..jjjj..a....."},
	{PF3 | PF2, 0x5, ".j........j....."},
	{NP, 0x5, "..aa............"},
	{PF3, 0x5, "..jj............"},
	{P66 | PF3, 0x6, "...............a"},
	{P66, 0x6, "jjjjjjjjjjjjjjd."},
	{P66 | PF3 | PF2, 0x7, "a..............."},
	{P66 | PF3, 0x7, "..............da"},
	{P66 | PF2, 0x7, "............jj.."},
	{NP, 0x7, ".......z........"},
	{P66, 0x7, ".JJJjjj........."},
	{NP | P66, 0x9, "dDEE....DD......"},
	{PF2, 0x9, "..DD............"},
	{NP, 0xa, "..............D."},
	{ANY, 0xc, "..j............."},
	{NP | P66, 0xc, "......j........."},
	{P66, 0xc, "....mD.........."},
	{P66 | PF2, 0xd, "j..............."},
	{P66, 0xd, ".jjjjjdAjjjjjjjj"},
	{P66 | PF3 | PF2, 0xe, "......a........."},
	{P66, 0xe, "jjjjjj.Ajjjjjjjj"},
	{P66, 0xf, ".jjjjjjDjjjjjjj."},
	{PF2, 0xf, "A..............."},
};

static const struct opcode_rule vex_0f_rules[] = {
	{0x12, 0x12, P66, ALL_MODES, MEM_ONLY},
	{0x13, 0x13, NP | P66, ALL_MODES, MEM_ONLY},
	{0x16, 0x16, P66, ALL_MODES, MEM_ONLY},
	{0x17, 0x17, NP | P66, ALL_MODES, MEM_ONLY},
	{0x2b, 0x2b, NP | P66, ALL_MODES, MEM_ONLY},
	{0x41, 0x42, NP | P66, ALL_MODES, REG_ONLY},
	{0x44, 0x47, NP | P66, ALL_MODES, REG_ONLY},
	{0x4a, 0x4b, NP | P66, ALL_MODES, REG_ONLY},
	{0x50, 0x50, NP | P66, ALL_MODES, REG_ONLY},
	{0x71, 0x72, P66, ALL_MODES, 0, SLASH(0x54)},
	{0x73, 0x73, P66, ALL_MODES, 0, SLASH(0xcc)},
	{0x91, 0x91, NP | P66, ALL_MODES, MEM_ONLY},
	{0x92, 0x93, NP | P66 | PF2, ALL_MODES, REG_ONLY},
	{0x98, 0x99, NP | P66, ALL_MODES, REG_ONLY},
	{0xae, 0xae, NP, ALL_MODES, 0x0c, 0},
	{0xc5, 0xc5, P66, ALL_MODES, REG_ONLY},
	{0xd7, 0xd7, P66, ALL_MODES, REG_ONLY},
	{0xe7, 0xe7, P66, ALL_MODES, MEM_ONLY},
	{0xf0, 0xf0, PF2, ALL_MODES, MEM_ONLY},
	{0xf7, 0xf7, P66, ALL_MODES, REG_ONLY},
};

static const struct opcode_row vex_0f38[] = {
	{P66, 0x0, "jjjjjjjjjjjjkkbb"},
	{P66, 0x1, "...b..qabhH.aaa."},
	{P66, 0x2, "aaaaaa..jjAjKKKK"},
	{P66, 0x3, "aaaaaaqjjjjjjjjj"},
	{NP | P66 | PF2, 0x4, ".........E......"},
	{P66 | PF3 | PF2, 0x4, "...........E...."},
	{P66, 0x4, "jd...jkj........"},
	{ANY, 0x5, "..............N."},
	{P66, 0x5, "kkkk....bbH....."},
	{PF3, 0x5, "............N..."},
	{P66, 0x7, "........bb......"},
	{P66, 0x8, "............J.J."},
	{P66, 0x9, "JJJJ..jjjjjjjjjj"},
	{P66, 0xa, "......jjjjjjjjjj"},
	{P66, 0xb, "......jjjjjjjjjj"},
	{P66, 0xc, "...............k"},
	{P66, 0xd, "...........djjjj"},
	{ANY, 0xf, ".......m........"},
	{NP | PF3 | PF2, 0xf, ".....m.........."},
	{NP, 0xf, "..mM............"},
	{PF2, 0xf, "......m........."},
};

static const struct opcode_rule vex_0f38_rules[] = {
	{0x1a, 0x1a, P66, ALL_MODES, MEM_ONLY},
	{0x2a, 0x2a, P66, ALL_MODES, MEM_ONLY},
	{0x2c, 0x2f, P66, ALL_MODES, MEM_ONLY},
	{0x49, 0x49, NP, ONLY_64, 0x01, 0x1},
	{0x49, 0x49, P66, ONLY_64, 0x01, 0},
	{0x49, 0x49, PF2, ONLY_64, 0, 0x0101010101010101},
	{0x4b, 0x4b, P66 | PF3 | PF2, ONLY_64, MEM_ONLY},
	{0x5a, 0x5a, P66, ALL_MODES, MEM_ONLY},
	{0x5c, 0x5c, PF3, ONLY_64, REG_ONLY},
	{0x5e, 0x5e, ANY, ONLY_64, REG_ONLY},
	{0x8c, 0x8c, P66, ALL_MODES, MEM_ONLY},
	{0x8e, 0x8e, P66, ALL_MODES, MEM_ONLY},
	{0x90, 0x93, P66, ALL_MODES, MEM_ONLY},
	{0xf3, 0xf3, NP, ALL_MODES, 0x0e, SLASH(0x0e)},
};

static const struct opcode_row vex_0f3a[] = {
	{P66, 0x0, "iik.bbq.aajjjjjj"},
	{P66, 0x1, "....ddddqh...b.."},
	{P66, 0x2, "mmm............."},
	{P66, 0x3, "DDDD....qh....E."},
	{P66, 0x4, "jmj.j.q.jjkkk..."},
	{P66, 0x5, "............jjjj"},
	{P66, 0x6, "dddd....jjjjjjjj"},
	{P66, 0x7, "........jjjjjjjj"},
	{P66, 0xc, "..............ll"},
	{P66, 0xd, "...............d"},
	{PF2, 0xf, "d..............."},
};

static const struct opcode_rule vex_0f3a_rules[] = {
	{0x30, 0x33, P66, ALL_MODES, REG_ONLY},
	{0x3e, 0x3e, P66, ONLY_64, REG_ONLY},
};

static const struct opcode_row xop_8[] = {
	{NP, 0x8, ".....nnn......nn"},
	{NP, 0x9, ".....nnn......nn"},
	{NP, 0xa, "..jm..n........."},
	{NP, 0xb, "......n........."},
	{NP, 0xc, "eeee........nnnn"},
	{NP, 0xe, "............nnnn"},
};

static const struct opcode_row xop_9[] = {
	{NP, 0x0, ".MM............."},
	{NP, 0x1, "..D............."},
	{NP, 0x8, "bbee............"},
	{NP, 0x9, "mmmmmmmmmmmm...."},
	{NP, 0xc, ".eee..ee...e...."},
	{NP, 0xd, ".eee..ee...e...."},
	{NP, 0xe, ".eee............"},
};

static const struct opcode_rule xop_9_rules[] = {
	{0x01, 0x01, NP, ALL_MODES, 0xfe, SLASH(0xfe)},
	{0x02, 0x02, NP, ALL_MODES, 0x42, SLASH(0x42)},
	{0x12, 0x12, NP, ALL_MODES, 0, SLASH(0x03)},
};

static const struct opcode_row xop_a[] = {
	{NP, 0x1, "d.M............."},
};

static const struct opcode_rule xop_a_rules[] = {
	{0x12, 0x12, NP, ALL_MODES, 0x03, SLASH(0x03)},
};

static const struct opcode_row evex_0f[] = {
	{ANY, 0x1, "mmm............."},
	{NP | P66 | PF3, 0x1, "......m........."},
	{NP | P66, 0x1, "...mmm.m........"},
	{NP | P66, 0x2, "........mm.m..mm"},
	{PF3 | PF2, 0x2, "..........m.mm.."},
	{ANY, 0x5, ".m......mmm.mmmm"},
	{NP | P66 | PF3, 0x5, "...........m...."},
	{NP | P66, 0x5, "....mmmm........"},
	{P66 | PF3 | PF2, 0x6, "...............m"},
	{P66, 0x6, "mmmmmmmmmmmmmmm."},
	{ANY, 0x7, "........mm......"},
	{P66 | PF3 | PF2, 0x7, "i.........mm...m"},
	{P66 | PF3, 0x7, "..............m."},
	{P66, 0x7, ".iiimmm........."},
	{ANY, 0xc, "..i............."},
	{NP | P66, 0xc, "......i........."},
	{P66, 0xc, "....ii.........."},
	{P66, 0xd, ".mmmmmm.mmmmmmmm"},
	{P66 | PF3 | PF2, 0xe, "......m........."},
	{P66, 0xe, "mmmmmm.mmmmmmmmm"},
	{P66, 0xf, ".mmmmmm.mmmmmmm."},
};

static const struct opcode_row evex_0f38[] = {
	{P66, 0x0, "m...m......mmm.."},
	{P66 | PF3, 0x1, "mmmmmm.........."},
	{P66, 0x1, "......m.mmmmmmmm"},
	{P66 | PF3, 0x2, "mmmmmmmmmmm....."},
	{P66, 0x2, "...........mmm.."},
	{P66 | PF3, 0x3, "mmmmmm..mmm....."},
	{P66, 0x3, "......mm...mmmmm"},
	{P66, 0x4, "m.mmmmmm....mmmm"},
	{P66 | PF3 | PF2, 0x5, "..m............."},
	{P66 | PF2, 0x5, "...m............"},
	{P66, 0x5, "mm..mm..mmmm...."},
	{P66, 0x6, "..mmmmm........."},
	{PF2, 0x6, "........m......."},
	{P66 | PF3 | PF2, 0x7, "..m............."},
	{P66, 0x7, "mm.m.mmmmmmmmmmm"},
	{P66, 0x8, "...m....mmmm.m.m"},
	{P66 | PF2, 0x9, "..........mm...."},
	{P66, 0x9, "mmmm..mmmm..mmmm"},
	{P66 | PF2, 0xa, "..........mm...."},
	{P66, 0xa, "mmmm..mmmm..mmmm"},
	{P66, 0xb, "....mmmmmmmmmmmm"},
	{P66, 0xc, "....m.mmm.mmmm.m"},
	{P66, 0xd, "............mmmm"},
};

static const struct opcode_row evex_0f3a[] = {
	{NP | P66, 0x0, "........i.i....."},
	{P66, 0x0, "ii.iii...i.i...i"},
	{P66, 0x1, "....iiiiiiii.iii"},
	{NP | P66, 0x2, "......ii........"},
	{P66, 0x2, "iiii.i.........."},
	{P66, 0x3, "........iiii..ii"},
	{P66, 0x4, "..iii..........."},
	{NP | P66, 0x5, "......ii........"},
	{P66, 0x5, "ii..ii.........."},
	{NP | P66, 0x6, "......ii........"},
	{P66, 0x7, "iiii............"},
	{NP | PF3, 0xc, "..i............."},
	{P66, 0xc, "..............ii"},
};

static const struct opcode_row evex_5[] = {
	{NP | P66, 0x1, ".............m.."},
	{PF3, 0x1, "mm.............."},
	{NP, 0x2, "..............mm"},
	{PF3, 0x2, "..........m.mm.."},
	{ANY, 0x5, "..........m....."},
	{NP | P66 | PF3, 0x5, "...........m...."},
	{NP | PF3, 0x5, ".m......mm..mmmm"},
	{P66, 0x6, "..............m."},
	{ANY, 0x7, ".............m.."},
	{NP | P66 | PF3, 0x7, "........mm......"},
	{NP | P66, 0x7, "............m..."},
	{P66 | PF3, 0x7, "...........m...."},
	{P66 | PF2, 0x7, "..........m....."},
	{P66, 0x7, "..............m."},
};

static const struct opcode_row evex_6[] = {
	{NP | P66, 0x1, "...m............"},
	{P66, 0x2, "............mm.."},
	{P66, 0x4, "..mm........mmmm"},
	{PF3 | PF2, 0x5, "......mm........"},
	{P66, 0x9, "......mmmmmmmmmm"},
	{P66, 0xa, "......mmmmmmmmmm"},
	{P66, 0xb, "......mmmmmmmmmm"},
	{PF3 | PF2, 0xd, "......mm........"},
};

// clang-format off
#define ROWS(name)  .rows = name, .row_count = ARRAY_SIZE(name)
#define RULES(name) .rules = name, .rule_count = ARRAY_SIZE(name)
// clang-format on

const struct opcode_map opcode_maps[INSN_MAPS] = {
	[INSN_PRIMARY] = {ROWS(map_primary), RULES(map_primary_rules)},
	[INSN_0F] = {ROWS(map_0f), RULES(map_0f_rules)},
	[INSN_0F38] = {ROWS(map_0f38), RULES(map_0f38_rules)},
	[INSN_0F3A] = {ROWS(map_0f3a), RULES(map_0f3a_rules)},
	[INSN_3DNOW] = {ROWS(map_3dnow)},
	[INSN_VEX_0F] = {ROWS(vex_0f), RULES(vex_0f_rules)},
	[INSN_VEX_0F38] = {ROWS(vex_0f38), RULES(vex_0f38_rules)},
	[INSN_VEX_0F3A] = {ROWS(vex_0f3a), RULES(vex_0f3a_rules)},
	[INSN_XOP_8] = {ROWS(xop_8)},
	[INSN_XOP_9] = {ROWS(xop_9), RULES(xop_9_rules)},
	[INSN_XOP_A] = {ROWS(xop_a), RULES(xop_a_rules)},
	[INSN_EVEX_0F] = {ROWS(evex_0f)},
	[INSN_EVEX_0F38] = {ROWS(evex_0f38)},
	[INSN_EVEX_0F3A] = {ROWS(evex_0f3a)},
	[INSN_EVEX_5] = {ROWS(evex_5)},
	[INSN_EVEX_6] = {ROWS(evex_6)},
};
