// SPDX-License-Identifier: MIT
// How the interpreter reaches memory: linear addresses, and the owner's callbacks.
#include "kernel/vm/emulate_access.h"
#include "lib/errno.h"

// In 64-bit code only FS and GS have a base; elsewhere linear addresses have 32 bits.
u64 emulate_linear(const struct emulate_ctx *ctx, u8 segment, u64 offset)
{
	if (ctx->mode != DECODE_64)
		return (u32)(ctx->seg_base[segment] + offset);
	return segment >= SEG_FS ? ctx->seg_base[segment] + offset : offset;
}

// Bits 47-63 equal, at both ends. A guest has no 57-bit addresses: its CPUID does not offer them.
static bool is_accessible(const struct emulate_ctx *ctx, u64 linear, unsigned size)
{
	u64 last = linear + size - 1;

	if (ctx->mode != DECODE_64)
		return last <= 0xffffffff;
	return (u64)((s64)(linear << 16) >> 16) == linear &&
	       (u64)((s64)(last << 16) >> 16) == last && last >= linear;
}

int emulate_read(struct emulate_ctx *ctx, u64 linear, unsigned size, u64 *value)
{
	*value = 0;
	if (!is_accessible(ctx, linear, size))
		return -EFAULT;
	return ctx->ops->read(ctx->opaque, linear, value, size);
}

int emulate_write(struct emulate_ctx *ctx, u64 linear, unsigned size, u64 value)
{
	if (!is_accessible(ctx, linear, size))
		return -EFAULT;
	return ctx->ops->write(ctx->opaque, linear, &value, size);
}
