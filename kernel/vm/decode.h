// SPDX-License-Identifier: MIT
// The instruction decoder: length, prefixes and operands of any x86 instruction, for a processor
// that gives neither the next RIP nor decode assists.
//
// Known: everything in the AMD64 APM vol. 3-5 and the Intel SDM vol. 2 up to AVX-512 FP16, AMX and
// AVX-VNNI; 3DNow!, XOP, FMA4, TBM, VIA PadLock, TDX, UINTR. Not known: Xeon Phi's KNC encodings,
// APX, AVX10.2. Where the vendors differ the Intel reading is taken: 66 does not shorten a near
// branch in 64-bit code.
#pragma once

#include "kernel/x86/hvm.h"
#include "lib/types.h"

enum decode_mode {
	DECODE_16,
	DECODE_32,
	DECODE_64
}; // by CS.D and CS.L (CS.L counts in long mode only)

#define INSN_LENGTH_MAX 15

// insn.prefixes. Of REP and REPNE the last one given stands.
enum {
	INSN_OPSIZE = 1 << 0,   // 66
	INSN_REP = 1 << 1,      // F3
	INSN_REPNE = 1 << 2,    // F2
	INSN_LOCK = 1 << 3,     // F0
	INSN_ADDRSIZE = 1 << 4, // 67
	INSN_SEGMENT = 1 << 5,  // 26 2E 36 3E 64 65; in 64-bit code only FS and GS count
};

// insn.rex; the prefixes VEX, XOP and EVEX fill it too.
enum { INSN_REX = 0x40, INSN_REX_W = 8, INSN_REX_R = 4, INSN_REX_X = 2, INSN_REX_B = 1 };

enum insn_map {
	INSN_PRIMARY,
	INSN_0F,
	INSN_0F38,
	INSN_0F3A,
	INSN_3DNOW, // insn.opcode is the suffix byte
	INSN_VEX_0F,
	INSN_VEX_0F38,
	INSN_VEX_0F3A,
	INSN_XOP_8,
	INSN_XOP_9,
	INSN_XOP_A,
	INSN_EVEX_0F,
	INSN_EVEX_0F38,
	INSN_EVEX_0F3A,
	INSN_EVEX_5,
	INSN_EVEX_6,
	INSN_MAPS
};

// General registers, numbered as in the instruction encoding; segments are enum hvm_seg.
enum { GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RSP, GPR_RBP, GPR_RSI, GPR_RDI };

#define INSN_NO_REG 0xff

struct insn {
	u8 length;
	u8 prefixes;
	u8 rex;    // 0 when none
	u8 map;    // enum insn_map
	u8 opcode; // its last byte
	u8 vvvv;   // second source of VEX, XOP and EVEX

	u8 operand_size; // 2, 4, 8: what the prefixes say; byte and stack operations have their own
	u8 address_size; // 2, 4, 8

	bool has_modrm;
	u8 mod, reg, rm; // reg and rm extended by REX

	bool has_memory; // a memory operand given by ModRM, or by an absolute offset (MOV A0-A3)
	bool rip_relative;
	u8 base, index; // GPR numbers or INSN_NO_REG, with 16-bit addresses too
	u8 scale;       // shift of the index, 0-3
	u8 segment;     // of the memory operand or the string source: override or default
	s64 disp;       // sign-extended; not scaled for EVEX's disp8

	u8 imm_size; // bytes, 0 when none
	s64 imm;     // sign-extended; a far pointer or ENTER's pair as it stands in memory
};

// Decodes the instruction at bytes, of which avail can be read. Returns 0; -EINVAL when the
// processor would raise #UD (undefined, or longer than 15 bytes); -EAGAIN when more bytes are
// needed to tell; out counts on success only. Not checked: what depends on CPUID or on register
// contents, the register combinations that AMX and gathers forbid, and EVEX beyond opcode and
// length.
int decode_insn(struct insn *out, const u8 *bytes, size_t avail, enum decode_mode mode);

// The length of the instructions that exit most, when they have no prefix: CPUID, RDMSR, WRMSR,
// RDTSC, RDPMC, HLT, VMMCALL, VMCALL, XSETBV, RDTSCP, CLTS, INVD, WBINVD, PAUSE. 0: use
// decode_insn.
static inline unsigned decode_length_fast(const u8 *bytes, size_t avail)
{
	if (avail < 3)
		return 0;
	if (bytes[0] == 0x0f) {
		if (bytes[1] == 0xa2 || (u8)(bytes[1] - 0x30) < 4)
			return 2;
		if (bytes[1] == 0x01)
			return (bytes[2] & 0xef) == 0xc1 || (bytes[2] & 0xdf) == 0xd9 ? 3 : 0;
		return bytes[1] == 0x06 || (bytes[1] & 0xfe) == 0x08 ? 2 : 0;
	}
	if (bytes[0] == 0xf4)
		return 1;
	return bytes[0] == 0xf3 && bytes[1] == 0x90 ? 2 : 0;
}
