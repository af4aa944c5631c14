// SPDX-License-Identifier: MIT
// The interpreter of instructions that touch memory-mapped I/O, and of string I/O.
//
// It executes MOV, MOVZX, MOVSX, MOVSXD, MOVNTI, MOVBE, ADD, OR, ADC, SBB, AND, SUB, XOR, CMP,
// TEST, NOT, NEG, INC, DEC, XCHG, XADD, CMPXCHG, BT, BTS, BTR, BTC, PUSH and POP of an r/m operand,
// and MOVS, CMPS, STOS, LODS, SCAS, INS and OUTS with REP: what compilers and kernels use on device
// registers, in 1, 2, 4 and 8 bytes.
//
// Left to the owner: the segments' limits and rights, I/O permissions, paging, alignment checks,
// whether an address is a device or RAM, the trap after an instruction with TF set, and the
// interrupt shadow. A LOCK prefix is accepted, but the two accesses of a read-modify-write are two
// calls: atomic on a device, not on RAM.
#pragma once

#include "lib/types.h"
#include "kernel/vm/decode.h"

// At most this many iterations of a REP run in one call.
#define EMULATE_REP_MAX 256

// Memory by linear address, and I/O ports; negative results end the instruction. The size is 1, 2,
// 4 or 8 (ports: to 4); a range neither wraps nor leaves the canonical addresses, but it may cross
// a page. An instruction (an iteration of a REP) touches each of its operands once, the source
// first.
//
// An access may fail for good, when the owner has noted a fault for the guest; or for now, when a
// device answers later: registers are as if the instruction (the iteration) had not begun, so the
// owner runs it again, and then answers the accesses that were already done with what it has kept
// of them.
struct emulate_ops {
	int (*read)(void *opaque, u64 linear, void *data, size_t size);
	int (*write)(void *opaque, u64 linear, const void *data, size_t size);
	// Both or neither; without them INS and OUTS are not known.
	int (*in)(void *opaque, u16 port, void *data, size_t size);
	int (*out)(void *opaque, u16 port, const void *data, size_t size);
};

struct emulate_ctx {
	struct insn insn; // from decode_insn with the same mode
	u64 *gpr;         // 16 registers: rax rcx rdx rbx rsp rbp rsi rdi r8..r15
	u64 rip, rflags;  // rip: of this instruction
	u64 seg_base[6];  // SEG_ES..SEG_GS
	enum decode_mode mode;
	u8 stack_size; // bytes of the stack pointer outside 64-bit code: 4 if SS.B, else 2
	const struct emulate_ops *ops;
	void *opaque;
};

enum { EMULATE_DONE, EMULATE_MORE };

// Executes the instruction. EMULATE_DONE: gpr, rflags and rip are those after it. EMULATE_MORE: a
// REP was cut short; rip stands still, the registers say what remains, call again or enter the
// guest. Negative: -ENOSYS for an instruction that is not known here, -EFAULT for a non-canonical
// address (#GP, or #SS for the stack), else what ops returned; registers are those before the
// instruction, or before the REP's iteration that failed.
int emulate_insn(struct emulate_ctx *ctx);

// The linear address of the memory operand that ModRM or an absolute offset names, wrapped as the
// address size and the mode say; not checked for being canonical. Only for insn.has_memory.
u64 decode_linear_address(const struct emulate_ctx *ctx);
