// SPDX-License-Identifier: MIT
// The interpreter's string instructions, one element at a time and repeated.
#include "kernel/vm/emulate_access.h"
#include "kernel/vm/emulate_alu.h"
#include "lib/errno.h"

enum { INS = 0x6c, OUTS = 0x6e, MOVS = 0xa4, CMPS = 0xa6, STOS = 0xaa, LODS = 0xac, SCAS = 0xae };

// The source has the instruction's segment, the destination always ES.
static u64 source(const struct emulate_ctx *ctx)
{
	return emulate_linear(
		ctx, ctx->insn.segment, emulate_get(ctx, GPR_RSI, ctx->insn.address_size));
}

static u64 destination(const struct emulate_ctx *ctx)
{
	return emulate_linear(ctx, SEG_ES, emulate_get(ctx, GPR_RDI, ctx->insn.address_size));
}

static void advance(struct emulate_ctx *ctx, u8 reg, unsigned size)
{
	u64 step = ctx->rflags & RFLAGS_DF ? 0 - (u64)size : size;
	unsigned width = ctx->insn.address_size;

	emulate_set(ctx, reg, width, emulate_get(ctx, reg, width) + step);
}

static bool has_source(u8 kind)
{
	return kind == MOVS || kind == CMPS || kind == LODS || kind == OUTS;
}

static bool has_destination(u8 kind)
{
	return kind != LODS && kind != OUTS;
}

static bool compares(u8 kind)
{
	return kind == CMPS || kind == SCAS;
}

// Reads what is to be written, or compared with the destination.
static int get_value(struct emulate_ctx *ctx, u8 kind, unsigned size, u64 *value)
{
	*value = emulate_get(ctx, GPR_RAX, size);
	if (has_source(kind))
		return emulate_read(ctx, source(ctx), size, value);
	if (kind != INS)
		return 0;
	*value = 0;
	return ctx->ops->in(ctx->opaque, (u16)ctx->gpr[GPR_RDX], value, size);
}

// One element. Registers and flags change only when nothing can fail any more.
static int step(struct emulate_ctx *ctx, u8 kind, unsigned size)
{
	u64 value, other = 0;
	int error = get_value(ctx, kind, size, &value);

	if (error)
		return error;
	if (compares(kind))
		error = emulate_read(ctx, destination(ctx), size, &other);
	else if (has_destination(kind))
		error = emulate_write(ctx, destination(ctx), size, value);
	else if (kind == OUTS)
		error = ctx->ops->out(ctx->opaque, (u16)ctx->gpr[GPR_RDX], &value, size);
	if (error)
		return error;

	if (compares(kind))
		alu(ALU_CMP, value, other, size, &ctx->rflags);
	if (kind == LODS)
		emulate_set(ctx, GPR_RAX, size, value);
	if (has_source(kind))
		advance(ctx, GPR_RSI, size);
	if (has_destination(kind))
		advance(ctx, GPR_RDI, size);
	return 0;
}

int emulate_string(struct emulate_ctx *ctx)
{
	const struct insn *insn = &ctx->insn;
	u8 kind = insn->opcode & 0xfe;
	unsigned size = insn->opcode & 1 ? insn->operand_size : 1;
	u64 until = insn->prefixes & INSN_REPNE ? RFLAGS_ZF
						: 0; // the state of ZF that ends CMPS and SCAS
	u64 count;

	if (kind == INS || kind == OUTS) {
		if (!ctx->ops->in || !ctx->ops->out)
			return -ENOSYS;
		size = MIN(size, 4);
	}
	if (!(insn->prefixes & (INSN_REP | INSN_REPNE)))
		return step(ctx, kind, size);

	for (unsigned i = 0; i < EMULATE_REP_MAX; i++) {
		int error;

		count = emulate_get(ctx, GPR_RCX, insn->address_size);
		if (!count)
			return EMULATE_DONE;
		error = step(ctx, kind, size);
		if (error)
			return error;
		emulate_set(ctx, GPR_RCX, insn->address_size, --count);
		if (compares(kind) && (ctx->rflags & RFLAGS_ZF) == until)
			return EMULATE_DONE;
	}
	return count ? EMULATE_MORE : EMULATE_DONE;
}
