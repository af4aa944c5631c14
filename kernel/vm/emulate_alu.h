// SPDX-License-Identifier: MIT
// Integer operations with the arithmetic flags that the processor leaves.
#pragma once

#include "lib/types.h"

enum {
	RFLAGS_CF = 1 << 0,
	RFLAGS_PF = 1 << 2,
	RFLAGS_AF = 1 << 4,
	RFLAGS_ZF = 1 << 6,
	RFLAGS_SF = 1 << 7,
	RFLAGS_DF = 1 << 10,
	RFLAGS_OF = 1 << 11,
	RFLAGS_RF = 1 << 16,
};

// The first eight are numbered as in the opcodes and in ModRM.reg, the bit tests likewise from
// ALU_BT.
enum alu_op {
	ALU_ADD,
	ALU_OR,
	ALU_ADC,
	ALU_SBB,
	ALU_AND,
	ALU_SUB,
	ALU_XOR,
	ALU_CMP,
	ALU_BT,
	ALU_BTS,
	ALU_BTR,
	ALU_BTC,
	ALU_TEST,
	ALU_NOT,
	ALU_NEG,
	ALU_INC,
	ALU_DEC,
	ALU_MOV,
	ALU_SWAP, // src with its bytes reversed
};

// Returns the result of op on size (1, 2, 4, 8) bytes, zero-extended, and updates *rflags. Of CMP,
// TEST and BT the result is the first operand. Flags that the manuals leave undefined: AF is
// cleared by the logic operations, the bit tests leave all but CF alone, as processors do. A bit
// test takes src modulo the operand's bits.
u64 alu(enum alu_op op, u64 dst, u64 src, unsigned size, u64 *rflags);
