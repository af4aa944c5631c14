// SPDX-License-Identifier: MIT
// Integer operations with the arithmetic flags that the processor leaves.
#include "kernel/vm/emulate_alu.h"

#define RESULT_FLAGS (RFLAGS_ZF | RFLAGS_SF | RFLAGS_PF)
#define CARRY_FLAGS  (RFLAGS_CF | RFLAGS_AF | RFLAGS_OF)

static u64 size_mask(unsigned size)
{
	return ~0ull >> (64 - 8 * size);
}

static u64 flag_if(bool condition, u64 flag)
{
	return condition ? flag : 0;
}

static u64 result_flags(u64 result, unsigned size)
{
	return flag_if(result == 0, RFLAGS_ZF) | flag_if(result >> (8 * size - 1) & 1, RFLAGS_SF) |
	       flag_if(!__builtin_parity((unsigned)result & 0xff), RFLAGS_PF);
}

// carries: the carry or borrow out of each bit; overflow: its top bit counts.
static u64 carry_flags(u64 carries, u64 overflow, unsigned size)
{
	unsigned top = 8 * size - 1;

	return flag_if(carries >> top & 1, RFLAGS_CF) | flag_if(carries & 8, RFLAGS_AF) |
	       flag_if(overflow >> top & 1, RFLAGS_OF);
}

static u64 add(u64 a, u64 b, bool carry, unsigned size, u64 *flags)
{
	u64 sum = (a + b + carry) & size_mask(size);

	*flags = carry_flags((a & b) | ((a | b) & ~sum), (a ^ sum) & (b ^ sum), size);
	return sum;
}

static u64 subtract(u64 a, u64 b, bool borrow, unsigned size, u64 *flags)
{
	u64 difference = (a - b - borrow) & size_mask(size);

	*flags = carry_flags((~a & b) | ((~a | b) & difference), (a ^ b) & (a ^ difference), size);
	return difference;
}

static u64 bit_test(enum alu_op op, u64 value, u64 src, unsigned size, u64 *rflags)
{
	u64 bit = BIT(src % (8 * size));

	*rflags = (*rflags & ~(u64)RFLAGS_CF) | flag_if(value & bit, RFLAGS_CF);
	switch (op) {
	case ALU_BTS:
		return value | bit;
	case ALU_BTR:
		return value & ~bit;
	case ALU_BTC:
		return value ^ bit;
	default:
		return value;
	}
}

u64 alu(enum alu_op op, u64 dst, u64 src, unsigned size, u64 *rflags)
{
	u64 changed = RESULT_FLAGS | CARRY_FLAGS, flags = 0, result;
	bool carry = *rflags & RFLAGS_CF;

	dst &= size_mask(size);
	src &= size_mask(size);
	switch (op) {
	case ALU_ADD:
	case ALU_ADC:
		result = add(dst, src, op == ALU_ADC && carry, size, &flags);
		break;
	case ALU_SUB:
	case ALU_SBB:
	case ALU_CMP:
		result = subtract(dst, src, op == ALU_SBB && carry, size, &flags);
		break;
	case ALU_NEG:
		result = subtract(0, dst, false, size, &flags);
		break;
	case ALU_INC:
		result = add(dst, 1, false, size, &flags);
		changed &= ~(u64)RFLAGS_CF;
		break;
	case ALU_DEC:
		result = subtract(dst, 1, false, size, &flags);
		changed &= ~(u64)RFLAGS_CF;
		break;
	case ALU_OR:
		result = dst | src;
		break;
	case ALU_AND:
	case ALU_TEST:
		result = dst & src;
		break;
	case ALU_XOR:
		result = dst ^ src;
		break;
	case ALU_BT:
	case ALU_BTS:
	case ALU_BTR:
	case ALU_BTC:
		return bit_test(op, dst, src, size, rflags);
	case ALU_NOT:
		return ~dst & size_mask(size);
	case ALU_SWAP:
		return __builtin_bswap64(src) >> (64 - 8 * size);
	default:
		return src;
	}
	flags |= result_flags(result, size);
	*rflags = (*rflags & ~changed) | (flags & changed);
	return op == ALU_CMP || op == ALU_TEST ? dst : result;
}
