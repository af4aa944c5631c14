// SPDX-License-Identifier: MIT
// Fuzzes decoder and MMIO interpreter: any bytes, any registers, a memory that checks each access
// and may refuse it.
// link: kernel/vm/decode.c kernel/vm/decode_check.c kernel/vm/decode_prefix.c
// link: kernel/vm/decode_tables.c
// link: kernel/vm/emulate.c kernel/vm/emulate_access.c kernel/vm/emulate_alu.c
// link: kernel/vm/emulate_string.c
#include "kernel/vm/decode.h"
#include "kernel/vm/emulate.h"
#include "lib/errno.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

// What comes before the code in the input.
struct setup {
	u64 gpr[16], rip, rflags, seg_base[6];
	u64 memory; // what reads give
	u8 mode, fail_at;
};

struct machine {
	const struct setup *setup;
	bool is_string;
	unsigned accesses;
};

// Counts and checks an access; says whether it is to fail.
static bool check_access(struct machine *m, u64 linear, size_t size)
{
	u64 last = linear + size - 1;

	MUST(size == 1 || size == 2 || size == 4 || size == 8);
	MUST(last >= linear);
	if (m->setup->mode == DECODE_64)
		MUST((linear + (1ull << 47)) >> 48 == 0 && (last + (1ull << 47)) >> 48 == 0);
	else
		MUST(last <= 0xffffffff);
	m->accesses++;
	MUST(m->accesses <= (m->is_string ? 2 * EMULATE_REP_MAX : 2));
	return m->setup->fail_at && m->accesses == m->setup->fail_at;
}

static int read_memory(void *opaque, u64 linear, void *data, size_t size)
{
	struct machine *m = opaque;

	if (check_access(m, linear, size))
		return -EIO;
	memcpy(data, &m->setup->memory, size);
	return 0;
}

static int write_memory(void *opaque, u64 linear, const void *data, size_t size)
{
	(void)data;
	return check_access(opaque, linear, size) ? -EIO : 0;
}

static int read_port(void *opaque, u16 port, void *data, size_t size)
{
	MUST(size <= 4);
	return read_memory(opaque, port, data, size);
}

static int write_port(void *opaque, u16 port, const void *data, size_t size)
{
	MUST(size <= 4);
	return write_memory(opaque, port, data, size);
}

static const struct emulate_ops memory_ops = {
	.read = read_memory, .write = write_memory, .in = read_port, .out = write_port};

static void check_insn(const struct insn *insn, size_t avail)
{
	MUST(insn->length >= 1 && insn->length <= INSN_LENGTH_MAX && insn->length <= avail);
	MUST(insn->map < INSN_MAPS && insn->segment <= SEG_GS && insn->imm_size <= 8);
	MUST(insn->reg < 16 && insn->rm < 16 && insn->scale < 4);
	MUST(insn->base < 16 || insn->base == INSN_NO_REG);
	MUST(insn->index < 16 || insn->index == INSN_NO_REG);
	MUST(insn->operand_size == 2 || insn->operand_size == 4 || insn->operand_size == 8);
	MUST(insn->address_size == 2 || insn->address_size == 4 || insn->address_size == 8);
}

static void emulate(const struct setup *setup, const struct insn *insn)
{
	bool repeated = insn->prefixes & (INSN_REP | INSN_REPNE);
	struct machine m = {.setup = setup, .is_string = repeated};
	struct emulate_ctx ctx = {.insn = *insn,
		.rip = setup->rip,
		.rflags = setup->rflags,
		.mode = (enum decode_mode)setup->mode,
		.stack_size = setup->fail_at & 1 ? 2 : 4,
		.ops = &memory_ops,
		.opaque = &m};
	u64 gpr[16];
	int result;

	memcpy(gpr, setup->gpr, sizeof(gpr));
	memcpy(ctx.seg_base, setup->seg_base, sizeof(ctx.seg_base));
	ctx.gpr = gpr;
	if (insn->has_memory)
		decode_linear_address(&ctx);
	result = emulate_insn(&ctx);
	MUST(result == EMULATE_DONE || result == EMULATE_MORE || result == -ENOSYS ||
		result == -EFAULT || result == -EIO);
	if (result != EMULATE_DONE)
		MUST(ctx.rip == setup->rip);
	if (result < 0 && !repeated)
		MUST(!memcmp(gpr, setup->gpr, sizeof(gpr)) && ctx.rflags == setup->rflags);
	if (result == EMULATE_MORE)
		MUST(repeated && m.accesses >= EMULATE_REP_MAX);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct setup setup;
	struct insn insn;
	size_t avail;
	u8 *code;

	if (size < sizeof(setup))
		return 0;
	memcpy(&setup, data, sizeof(setup));
	setup.mode %= 3;
	avail = size - sizeof(setup);
	code = malloc(avail); // exactly, so that a read beyond is seen
	MUST(code || !avail);
	memcpy(code, data + sizeof(setup), avail);
	if (decode_insn(&insn, code, avail, (enum decode_mode)setup.mode) == 0) {
		check_insn(&insn, avail);
		emulate(&setup, &insn);
	}
	decode_length_fast(code, avail);
	free(code);
	return 0;
}
