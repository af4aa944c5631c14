// SPDX-License-Identifier: MIT
// The interpreter of instructions that touch memory-mapped I/O: which there are, and how each is
// done.
#include "kernel/vm/emulate.h"
#include "kernel/vm/emulate_access.h"
#include "kernel/vm/emulate_alu.h"
#include "lib/errno.h"

struct operand {
	bool memory;
	u8 reg;   // GPR number
	u8 shift; // 8 for AH, CH, DH and BH
	u8 size;
	u64 linear;
};

// Where an operand is, in the letters of the manuals' opcode maps. The offset of MOV A0-A3 counts
// as E.
enum place { NO_PLACE, E, G, ACCUMULATOR, IMMEDIATE };

// form.op besides enum alu_op: chosen by bits 3-5 of the opcode, or by ModRM.reg.
enum { BY_OPCODE = 0x40, BY_REG };

enum { ANY_REG = 8 };

// An instruction: those opcodes of a map that equal .opcode under .mask. When the mask leaves bit 0
// free, that bit says: 0, bytes; 1, the operand size.
struct form {
	u8 map, mask, opcode;
	u8 reg; // ModRM.reg & 7, or ANY_REG
	int (*run)(struct emulate_ctx *ctx, const struct form *form);
	u8 to, from; // enum place
	u8 op;
};

static u64 effective_address(const struct emulate_ctx *ctx, s64 more)
{
	const struct insn *insn = &ctx->insn;
	u64 address = (u64)insn->disp + (u64)more;

	if (insn->rip_relative)
		address += ctx->rip + insn->length;
	if (insn->base != INSN_NO_REG)
		address += ctx->gpr[insn->base & 15];
	if (insn->index != INSN_NO_REG)
		address += ctx->gpr[insn->index & 15] << insn->scale;
	return emulate_linear(ctx, insn->segment, address & emulate_mask(insn->address_size));
}

u64 decode_linear_address(const struct emulate_ctx *ctx)
{
	return effective_address(ctx, 0);
}

static unsigned width(const struct emulate_ctx *ctx, const struct form *form)
{
	return form->mask & 1 || ctx->insn.opcode & 1 ? ctx->insn.operand_size : 1;
}

static struct operand reg_operand(const struct emulate_ctx *ctx, u8 reg, unsigned size)
{
	struct operand operand = {.reg = reg, .size = (u8)size};

	if (size == 1 && !ctx->insn.rex && reg >= 4) {
		operand.reg = reg & 3;
		operand.shift = 8;
	}
	return operand;
}

static struct operand locate(const struct emulate_ctx *ctx, enum place place, unsigned size)
{
	if (place == G)
		return reg_operand(ctx, ctx->insn.reg, size);
	if (place == E && ctx->insn.has_memory)
		return (struct operand){
			.memory = true, .size = (u8)size, .linear = effective_address(ctx, 0)};
	return reg_operand(ctx, place == E ? ctx->insn.rm : GPR_RAX, size);
}

static int load(struct emulate_ctx *ctx, const struct operand *from, u64 *value)
{
	if (from->memory)
		return emulate_read(ctx, from->linear, from->size, value);
	*value = ctx->gpr[from->reg & 15] >> from->shift & emulate_mask(from->size);
	return 0;
}

static int store(struct emulate_ctx *ctx, const struct operand *to, u64 value)
{
	if (to->memory)
		return emulate_write(ctx, to->linear, to->size, value);
	if (to->shift)
		ctx->gpr[to->reg & 3] = (ctx->gpr[to->reg & 3] & ~0xff00ull) | (value & 0xff) << 8;
	else
		emulate_set(ctx, to->reg, to->size, value);
	return 0;
}

static int load_place(struct emulate_ctx *ctx, enum place place, unsigned size, u64 *value)
{
	struct operand operand;

	*value = (u64)ctx->insn.imm;
	if (place == NO_PLACE || place == IMMEDIATE)
		return 0;
	operand = locate(ctx, place, size);
	return load(ctx, &operand, value);
}

// The first operand, the operation and the second give the first; CMP, TEST and BT write nothing.
static int run_alu_on(struct emulate_ctx *ctx, const struct operand *to, u64 src, enum alu_op op)
{
	u64 dst = 0, flags = ctx->rflags, result;
	int error = 0;

	if (op != ALU_MOV && op != ALU_SWAP)
		error = load(ctx, to, &dst);
	if (error)
		return error;
	result = alu(op, dst, src, to->size, &flags);
	if (op != ALU_CMP && op != ALU_TEST && op != ALU_BT)
		error = store(ctx, to, result);
	if (!error)
		ctx->rflags = flags;
	return error;
}

static int run_alu(struct emulate_ctx *ctx, const struct form *form)
{
	unsigned size = width(ctx, form);
	struct operand to = locate(ctx, (enum place)form->to, size);
	unsigned op = form->op;
	u64 src;
	int error = load_place(ctx, (enum place)form->from, size, &src);

	if (error)
		return error;
	if (op == BY_OPCODE)
		op = ctx->insn.opcode >> 3 & 7;
	else if (op == BY_REG)
		op = ctx->insn.reg & 7;
	return run_alu_on(ctx, &to, src, (enum alu_op)op);
}

// A bit number in a register reaches beyond the operand in memory: its high part, signed, moves the
// address.
static int run_bit_test(struct emulate_ctx *ctx, const struct form *form)
{
	unsigned size = ctx->insn.operand_size, bits = 8 * size;
	struct operand to = locate(ctx, E, size);
	u8 op = form->op == BY_REG ? ctx->insn.reg & 3 : ctx->insn.opcode >> 3 & 3;
	u64 src;

	load_place(ctx, (enum place)form->from, size, &src); // never memory
	if (to.memory && form->from == G) {
		s64 bit = (s64)(src << (64 - bits)) >> (64 - bits);

		to.linear = effective_address(ctx, (bit & -(s64)bits) / 8);
	}
	return run_alu_on(ctx, &to, src, (enum alu_op)(ALU_BT + op));
}

// MOVZX, MOVSX and MOVSXD: from E, of form.op bytes, to G.
static int run_extend(struct emulate_ctx *ctx, const struct form *form)
{
	unsigned size = MIN(form->op, ctx->insn.operand_size), shift = 64 - 8 * size;
	struct operand to = locate(ctx, G, ctx->insn.operand_size);
	bool is_signed = form->opcode >= 0xbe || form->map == INSN_PRIMARY;
	u64 value;
	int error = load_place(ctx, E, size, &value);

	if (error)
		return error;
	return store(ctx, &to, is_signed ? (u64)((s64)(value << shift) >> shift) : value);
}

// XCHG and XADD: the sum or G goes to E, the old E to G. Memory first, as it can fail; else E last.
static int run_exchange(struct emulate_ctx *ctx, const struct form *form)
{
	unsigned size = width(ctx, form);
	struct operand e = locate(ctx, E, size), g = locate(ctx, G, size);
	u64 old, src, flags = ctx->rflags, result;
	int error = load(ctx, &e, &old);

	load(ctx, &g, &src);
	if (error)
		return error;
	result = alu((enum alu_op)form->op, old, src, size, &flags);
	if (e.memory)
		error = store(ctx, &e, result);
	if (error)
		return error;
	store(ctx, &g, old);
	if (!e.memory)
		store(ctx, &e, result);
	ctx->rflags = flags;
	return 0;
}

// Memory is written in either case, as the processor does.
static int run_cmpxchg(struct emulate_ctx *ctx, const struct form *form)
{
	unsigned size = width(ctx, form);
	struct operand e = locate(ctx, E, size);
	u64 old, src, flags = ctx->rflags;
	int error = load(ctx, &e, &old);

	if (error)
		return error;
	load_place(ctx, G, size, &src);
	alu(ALU_CMP, emulate_get(ctx, GPR_RAX, size), old, size, &flags);
	if (e.memory || flags & RFLAGS_ZF)
		error = store(ctx, &e, flags & RFLAGS_ZF ? src : old);
	if (error)
		return error;
	if (!(flags & RFLAGS_ZF))
		emulate_set(ctx, GPR_RAX, size, old);
	ctx->rflags = flags;
	return 0;
}

// PUSH and POP take 8 bytes in 64-bit code, or 2 with the prefix.
static unsigned push_size(const struct emulate_ctx *ctx)
{
	if (ctx->mode == DECODE_64 && ctx->insn.operand_size == 4)
		return 8;
	return ctx->insn.operand_size;
}

static int run_push(struct emulate_ctx *ctx, const struct form *form)
{
	unsigned size = push_size(ctx), stack = emulate_stack_size(ctx);
	u64 rsp = (ctx->gpr[GPR_RSP] - size) & emulate_mask(stack), value;
	int error = load_place(ctx, (enum place)form->from, size, &value);

	if (!error)
		error = emulate_write(ctx, emulate_linear(ctx, SEG_SS, rsp), size, value);
	if (!error)
		emulate_set(ctx, GPR_RSP, stack, rsp);
	return error;
}

// An address that uses RSP takes it as it is after the POP.
static int run_pop(struct emulate_ctx *ctx, const struct form *form)
{
	unsigned size = push_size(ctx), stack = emulate_stack_size(ctx);
	u64 before = ctx->gpr[GPR_RSP], rsp = before & emulate_mask(stack), value;
	struct operand to;
	int error = emulate_read(ctx, emulate_linear(ctx, SEG_SS, rsp), size, &value);

	if (error)
		return error;
	emulate_set(ctx, GPR_RSP, stack, rsp + size);
	to = locate(ctx, (enum place)form->to, size);
	error = store(ctx, &to, value);
	if (error)
		ctx->gpr[GPR_RSP] = before;
	return error;
}

static int run_string(struct emulate_ctx *ctx, const struct form *form)
{
	(void)form;
	return emulate_string(ctx);
}

static const struct form forms[] = {
	{INSN_PRIMARY, 0xfe, 0x88, ANY_REG, run_alu, E, G, ALU_MOV},
	{INSN_PRIMARY, 0xfe, 0x8a, ANY_REG, run_alu, G, E, ALU_MOV},
	{INSN_PRIMARY, 0xfe, 0xc6, 0, run_alu, E, IMMEDIATE, ALU_MOV},
	{INSN_PRIMARY, 0xfe, 0xa0, ANY_REG, run_alu, ACCUMULATOR, E, ALU_MOV},
	{INSN_PRIMARY, 0xfe, 0xa2, ANY_REG, run_alu, E, ACCUMULATOR, ALU_MOV},
	{INSN_PRIMARY, 0xc6, 0x00, ANY_REG, run_alu, E, G, BY_OPCODE},
	{INSN_PRIMARY, 0xc6, 0x02, ANY_REG, run_alu, G, E, BY_OPCODE},
	{INSN_PRIMARY, 0xfc, 0x80, ANY_REG, run_alu, E, IMMEDIATE, BY_REG},
	{INSN_PRIMARY, 0xfe, 0x84, ANY_REG, run_alu, E, G, ALU_TEST},
	{INSN_PRIMARY, 0xfe, 0xf6, 0, run_alu, E, IMMEDIATE, ALU_TEST},
	{INSN_PRIMARY, 0xfe, 0xf6, 1, run_alu, E, IMMEDIATE, ALU_TEST},
	{INSN_PRIMARY, 0xfe, 0xf6, 2, run_alu, E, NO_PLACE, ALU_NOT},
	{INSN_PRIMARY, 0xfe, 0xf6, 3, run_alu, E, NO_PLACE, ALU_NEG},
	{INSN_PRIMARY, 0xfe, 0xfe, 0, run_alu, E, NO_PLACE, ALU_INC},
	{INSN_PRIMARY, 0xfe, 0xfe, 1, run_alu, E, NO_PLACE, ALU_DEC},
	{INSN_PRIMARY, 0xfe, 0x6c, ANY_REG, run_string, NO_PLACE, NO_PLACE, 0}, // INS
	{INSN_PRIMARY, 0xfe, 0x6e, ANY_REG, run_string, NO_PLACE, NO_PLACE, 0}, // OUTS
	{INSN_PRIMARY, 0xfe, 0xa4, ANY_REG, run_string, NO_PLACE, NO_PLACE, 0}, // MOVS
	{INSN_PRIMARY, 0xfe, 0xa6, ANY_REG, run_string, NO_PLACE, NO_PLACE, 0}, // CMPS
	{INSN_PRIMARY, 0xfe, 0xaa, ANY_REG, run_string, NO_PLACE, NO_PLACE, 0}, // STOS
	{INSN_PRIMARY, 0xfe, 0xac, ANY_REG, run_string, NO_PLACE, NO_PLACE, 0}, // LODS
	{INSN_PRIMARY, 0xfe, 0xae, ANY_REG, run_string, NO_PLACE, NO_PLACE, 0}, // SCAS
	{INSN_PRIMARY, 0xfe, 0x86, ANY_REG, run_exchange, E, G, ALU_MOV},       // XCHG
	{INSN_PRIMARY, 0xff, 0x63, ANY_REG, run_extend, G, E, 4},               // MOVSXD
	{INSN_PRIMARY, 0xff, 0xff, 6, run_push, NO_PLACE, E, 0},
	{INSN_PRIMARY, 0xff, 0x8f, 0, run_pop, E, NO_PLACE, 0},
	{INSN_0F, 0xff, 0xb6, ANY_REG, run_extend, G, E, 1},         // MOVZX
	{INSN_0F, 0xff, 0xb7, ANY_REG, run_extend, G, E, 2},         // MOVZX
	{INSN_0F, 0xff, 0xbe, ANY_REG, run_extend, G, E, 1},         // MOVSX
	{INSN_0F, 0xff, 0xbf, ANY_REG, run_extend, G, E, 2},         // MOVSX
	{INSN_0F, 0xff, 0xc3, ANY_REG, run_alu, E, G, ALU_MOV},      // MOVNTI
	{INSN_0F, 0xfe, 0xb0, ANY_REG, run_cmpxchg, E, G, 0},        // CMPXCHG
	{INSN_0F, 0xfe, 0xc0, ANY_REG, run_exchange, E, G, ALU_ADD}, // XADD
	{INSN_0F, 0xe7, 0xa3, ANY_REG, run_bit_test, E, G, BY_OPCODE},
	{INSN_0F, 0xff, 0xba, ANY_REG, run_bit_test, E, IMMEDIATE, BY_REG},
	{INSN_0F38, 0xff, 0xf0, ANY_REG, run_alu, G, E, ALU_SWAP}, // MOVBE
	{INSN_0F38, 0xff, 0xf1, ANY_REG, run_alu, E, G, ALU_SWAP}, // MOVBE
};

static bool is_form(const struct form *form, const struct insn *insn)
{
	return (insn->opcode & form->mask) == form->opcode && insn->map == form->map &&
	       (form->reg == ANY_REG || (insn->reg & 7) == form->reg);
}

// What shares an opcode with a form and is another instruction: ARPL and CRC32.
static bool is_lookalike(const struct emulate_ctx *ctx)
{
	if (ctx->insn.map == INSN_PRIMARY)
		return ctx->insn.opcode == 0x63 && ctx->mode != DECODE_64;
	return ctx->insn.map == INSN_0F38 && ctx->insn.prefixes & INSN_REPNE;
}

int emulate_insn(struct emulate_ctx *ctx)
{
	int result;

	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
		if (!is_form(&forms[i], &ctx->insn))
			continue;
		if (is_lookalike(ctx))
			return -ENOSYS;
		result = forms[i].run(ctx, &forms[i]);
		if (result != EMULATE_DONE)
			return result;
		ctx->rip += ctx->insn.length;
		if (ctx->mode != DECODE_64)
			ctx->rip = (u32)ctx->rip;
		ctx->rflags &= ~(u64)RFLAGS_RF;
		return EMULATE_DONE;
	}
	return -ENOSYS;
}
