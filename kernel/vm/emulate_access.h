// SPDX-License-Identifier: MIT
// How the interpreter reaches registers and memory.
#pragma once

#include "kernel/vm/emulate.h"

static inline u64 emulate_mask(unsigned size)
{
	return ~0ull >> (64 - 8 * size);
}

// The low size bytes of a register.
static inline u64 emulate_get(const struct emulate_ctx *ctx, u8 reg, unsigned size)
{
	return ctx->gpr[reg & 15] & emulate_mask(size);
}

// Sets the low size bytes; as on the processor, 4 clear the rest and 1 or 2 leave it.
static inline void emulate_set(struct emulate_ctx *ctx, u8 reg, unsigned size, u64 value)
{
	u64 kept = size < 4 ? ~emulate_mask(size) : 0;

	ctx->gpr[reg & 15] = (ctx->gpr[reg & 15] & kept) | (value & emulate_mask(size));
}

static inline unsigned emulate_stack_size(const struct emulate_ctx *ctx)
{
	return ctx->mode == DECODE_64 ? 8 : ctx->stack_size == 4 ? 4 : 2;
}

u64 emulate_linear(const struct emulate_ctx *ctx, u8 segment, u64 offset);

// Access memory through ops after the check for canonical addresses; values are zero-extended.
int emulate_read(struct emulate_ctx *ctx, u64 linear, unsigned size, u64 *value);
int emulate_write(struct emulate_ctx *ctx, u64 linear, unsigned size, u64 value);

// MOVS, CMPS, STOS, LODS and SCAS: returns as emulate_insn, but leaves rip alone.
int emulate_string(struct emulate_ctx *ctx);
