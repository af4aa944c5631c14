// SPDX-License-Identifier: MIT
// The MMIO interpreter against the processor: the same instruction runs on both, with random
// registers, flags, memory and addressing; then what only the interpreter can be asked: other
// modes, faults, bounds.
// MEZZ_EMULATE_RUNS sets the number of instructions (default 100000).
// link: kernel/vm/decode.c kernel/vm/decode_check.c kernel/vm/decode_prefix.c
// link: kernel/vm/decode_tables.c
// link: kernel/vm/emulate.c kernel/vm/emulate_access.c kernel/vm/emulate_alu.c
// link: kernel/vm/emulate_string.c
#include <sys/mman.h>
#include "tests/unit/test.h"
#include "tests/unit/native.h"
#include "kernel/vm/emulate.h"
#include "kernel/vm/emulate_alu.h"
#include "lib/errno.h"

#define ARENA_SIZE 0x8000
#define WINDOW     0x4000 // memory operands lie around the middle
#define FLAGS      (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF | RFLAGS_DF)
#define NO_AF      (FLAGS & ~RFLAGS_AF)
#define ONLY_CF    (RFLAGS_CF | RFLAGS_DF)

// The processor's memory, below 4 GiB so that 32-bit addresses reach it; the interpreter works on
// the shadow.
static u8 *arena, *code;
static u8 shadow[ARENA_SIZE], initial[ARENA_SIZE];

static u64 random_state = 0x656d756c61746521;

static u64 random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * 0x2545f4914f6cdd1d;
}

static unsigned random_below(unsigned n)
{
	return (unsigned)((random_u64() >> 32) % n);
}

// Values near the edges come up as often as others.
static u64 random_value(void)
{
	static const u64 edges[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff,
		0x80000000, 0xffffffff, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff};

	return random_below(2) ? random_u64() : edges[random_below(ARRAY_SIZE(edges))];
}

// ---------------------------------------------------------------- the interpreter's memory
struct machine {
	unsigned reads, writes, fail_at; // fail_at: the access that fails, counted from 1; 0: none
};

static bool fails(struct machine *m)
{
	return m->fail_at && m->reads + m->writes == m->fail_at;
}

static u8 *translate(u64 linear, size_t size)
{
	u64 offset = linear - (u64)(uintptr_t)arena;

	CHECK(size == 1 || size == 2 || size == 4 || size == 8);
	return offset < ARENA_SIZE && size <= ARENA_SIZE - offset ? shadow + offset : NULL;
}

static int read_shadow(void *opaque, u64 linear, void *data, size_t size)
{
	struct machine *m = opaque;
	const u8 *from = translate(linear, size);

	m->reads++;
	if (!from || fails(m))
		return -EIO;
	memcpy(data, from, size);
	return 0;
}

static int write_shadow(void *opaque, u64 linear, const void *data, size_t size)
{
	struct machine *m = opaque;
	u8 *to = translate(linear, size);

	m->writes++;
	if (!to || fails(m))
		return -EIO;
	memcpy(to, data, size);
	return 0;
}

static const struct emulate_ops shadow_ops = {.read = read_shadow, .write = write_shadow};

__attribute__((constructor)) static void map_arena(void)
{
	arena = mmap(NULL, ARENA_SIZE + PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (arena == MAP_FAILED)
		abort();
	code = arena + ARENA_SIZE;
}

// ---------------------------------------------------------------- instructions
enum {
	T_MODRM =
		1, // operand in memory (sometimes in a register), ModRM.reg as given or any register
	T_GROUP = 2, // ModRM.reg is part of the opcode
	T_IMM8 = 4,
	T_IMM = 8,     // 1, 2 or 4 bytes
	T_BYTE = 16,   // byte operands: neither 66 nor REX.W
	T_OFFSET = 32, // absolute address
	T_STRING = 64,
	T_BIT = 128, // the register holds a bit offset
	T_STACK = 256,
	T_CMPXCHG = 512,
	T_MEMORY = 1024, // no register form
	T_NO_66 = 2048,
};

struct template
{
	const char *name;
	u8 opcode[3];
	u8 opcode_length;
	u8 group;
	u16 flags;
	u32 defined; // flags that the manuals define
};

#define ALU_OP(name, n, defined)                                                                   \
	{name, {8 * n}, 1, 0, T_MODRM | T_BYTE, defined},                                          \
		{name, {8 * n + 1}, 1, 0, T_MODRM, defined},                                       \
		{name, {8 * n + 2}, 1, 0, T_MODRM | T_BYTE, defined},                              \
		{name, {8 * n + 3}, 1, 0, T_MODRM, defined},                                       \
		{name, {0x80}, 1, n, T_MODRM | T_GROUP | T_IMM8 | T_BYTE, defined},                \
		{name, {0x81}, 1, n, T_MODRM | T_GROUP | T_IMM, defined},                          \
	{                                                                                          \
		name, {0x83}, 1, n, T_MODRM | T_GROUP | T_IMM8, defined                            \
	}
#define BYTE_AND_MORE(name, op, group, flags, defined)                                             \
	{name, {op}, 1, group, (flags) | T_BYTE, defined},                                         \
	{                                                                                          \
		name, {op + 1}, 1, group, flags, defined                                           \
	}
#define BIT_OP(name, op, n)                                                                        \
	{name, {0x0f, op}, 2, 0, T_MODRM | T_BIT, ONLY_CF},                                        \
	{                                                                                          \
		name, {0x0f, 0xba}, 2, n, T_MODRM | T_GROUP | T_IMM8, ONLY_CF                      \
	}

static const struct template templates[] = {
	ALU_OP("add", 0, FLAGS),
	ALU_OP("or", 1, NO_AF),
	ALU_OP("adc", 2, FLAGS),
	ALU_OP("sbb", 3, FLAGS),
	ALU_OP("and", 4, NO_AF),
	ALU_OP("sub", 5, FLAGS),
	ALU_OP("xor", 6, NO_AF),
	ALU_OP("cmp", 7, FLAGS),
	BYTE_AND_MORE("mov", 0x88, 0, T_MODRM, FLAGS),
	BYTE_AND_MORE("mov", 0x8a, 0, T_MODRM, FLAGS),
	{"mov", {0xc6}, 1, 0, T_MODRM | T_GROUP | T_IMM8 | T_BYTE, FLAGS},
	{"mov", {0xc7}, 1, 0, T_MODRM | T_GROUP | T_IMM, FLAGS},
	BYTE_AND_MORE("mov", 0xa0, 0, T_OFFSET, FLAGS),
	BYTE_AND_MORE("mov", 0xa2, 0, T_OFFSET, FLAGS),
	BYTE_AND_MORE("test", 0x84, 0, T_MODRM, NO_AF),
	{"test", {0xf6}, 1, 0, T_MODRM | T_GROUP | T_IMM8 | T_BYTE, NO_AF},
	{"test", {0xf7}, 1, 0, T_MODRM | T_GROUP | T_IMM, NO_AF},
	BYTE_AND_MORE("not", 0xf6, 2, T_MODRM | T_GROUP, FLAGS),
	BYTE_AND_MORE("neg", 0xf6, 3, T_MODRM | T_GROUP, FLAGS),
	BYTE_AND_MORE("inc", 0xfe, 0, T_MODRM | T_GROUP, FLAGS),
	BYTE_AND_MORE("dec", 0xfe, 1, T_MODRM | T_GROUP, FLAGS),
	BYTE_AND_MORE("xchg", 0x86, 0, T_MODRM, FLAGS),
	{"xadd", {0x0f, 0xc0}, 2, 0, T_MODRM | T_BYTE, FLAGS},
	{"xadd", {0x0f, 0xc1}, 2, 0, T_MODRM, FLAGS},
	{"cmpxchg", {0x0f, 0xb0}, 2, 0, T_MODRM | T_MEMORY | T_BYTE | T_CMPXCHG, FLAGS},
	{"cmpxchg", {0x0f, 0xb1}, 2, 0, T_MODRM | T_MEMORY | T_CMPXCHG, FLAGS},
	BIT_OP("bt", 0xa3, 4),
	BIT_OP("bts", 0xab, 5),
	BIT_OP("btr", 0xb3, 6),
	BIT_OP("btc", 0xbb, 7),
	{"movzx", {0x0f, 0xb6}, 2, 0, T_MODRM, FLAGS},
	{"movzx", {0x0f, 0xb7}, 2, 0, T_MODRM, FLAGS},
	{"movsx", {0x0f, 0xbe}, 2, 0, T_MODRM, FLAGS},
	{"movsx", {0x0f, 0xbf}, 2, 0, T_MODRM, FLAGS},
	{"movsxd", {0x63}, 1, 0, T_MODRM, FLAGS},
	{"movnti", {0x0f, 0xc3}, 2, 0, T_MODRM | T_MEMORY | T_NO_66, FLAGS},
	{"movbe", {0x0f, 0x38, 0xf0}, 3, 0, T_MODRM | T_MEMORY, FLAGS},
	{"movbe", {0x0f, 0x38, 0xf1}, 3, 0, T_MODRM | T_MEMORY, FLAGS},
	{"push", {0xff}, 1, 6, T_MODRM | T_GROUP | T_STACK, FLAGS},
	{"pop", {0x8f}, 1, 0, T_MODRM | T_GROUP | T_STACK, FLAGS},
	BYTE_AND_MORE("movs", 0xa4, 0, T_STRING, FLAGS),
	BYTE_AND_MORE("cmps", 0xa6, 0, T_STRING, FLAGS),
	BYTE_AND_MORE("stos", 0xaa, 0, T_STRING, FLAGS),
	BYTE_AND_MORE("lods", 0xac, 0, T_STRING, FLAGS),
	BYTE_AND_MORE("scas", 0xae, 0, T_STRING, FLAGS),
};

struct trial {
	const struct template *template;
	u8 bytes[16];
	unsigned length;
	u64 gpr[16], rflags;
};

static void put(struct trial *t, u64 value, unsigned size)
{
	memcpy(t->bytes + t->length, &value, size);
	t->length += size;
}

static u64 target(void)
{
	return (u64)(uintptr_t)arena + WINDOW + random_below(64);
}

// ModRM, SIB and displacement of an operand in memory; sets the base register so that it meets the
// target.
static void put_memory(struct trial *t, u8 reg, u8 base, u8 index, bool addr32)
{
	bool sib = index != GPR_RSP || (base & 7) == GPR_RSP;
	bool near = t->template->flags & T_STACK && base == GPR_RSP;
	u8 scale = (u8)random_below(4), mod = near ? 1 : (u8)(1 + random_below(2));
	s32 disp = mod == 1 ? (s8)random_u64() : (s32)random_u64() >> random_below(24);
	u64 sum = target() - (u64)(s64)disp;

	if (mod == 1 ? disp == 0 && (base & 7) != GPR_RBP : false)
		mod = 0;
	put(t, (u64)(mod << 6 | (reg & 7) << 3 | (sib ? 4 : base & 7)), 1);
	if (sib)
		put(t, (u64)(scale << 6 | (index & 7) << 3 | (base & 7)), 1);
	if (mod)
		put(t, (u64)(s64)disp, mod == 1 ? 1 : 4);
	if (index != GPR_RSP)
		sum -= t->gpr[index] << scale;
	t->gpr[base] = addr32 && !near ? (u32)sum | random_u64() << 32 : sum;
}

// The same without base register: RIP-relative, or absolute by a SIB.
static void put_fixed_memory(struct trial *t, u8 reg, bool addr32, unsigned imm_size)
{
	bool absolute = random_below(2) == 0;
	u64 disp = target();

	put(t, (u64)((reg & 7) << 3 | (absolute ? 4 : 5)), 1);
	if (absolute)
		put(t, 0x25, 1);
	else
		disp -= (u64)(uintptr_t)code + t->length + 4 + imm_size;
	put(t, disp, 4);
	(void)addr32;
}

static void put_modrm(struct trial *t, u8 rex_at, bool addr32, unsigned imm_size)
{
	u16 flags = t->template->flags;
	u8 reg = flags & T_GROUP ? t->template->group : (u8)random_below(16);
	u8 base = (u8)random_below(16), index = (u8)random_below(16);
	bool has_rex = t->bytes[rex_at] != 0;

	if (!has_rex) {
		base &= 7, index &= 7, reg &= 7;
	}
	if (base == index || random_below(2))
		index = GPR_RSP;
	if (flags & T_STACK && base == GPR_RSP)
		index = GPR_RSP;
	if (flags & T_BIT) {
		while (reg == base || reg == index)
			reg = (u8)random_below(has_rex ? 16 : 8);
		t->gpr[reg] = (u64)((s64)random_u64() >> 47);
		if (random_below(2))
			t->gpr[reg] ^=
				random_u64() << 32 & (has_rex && t->bytes[rex_at] & 8 ? 0 : ~0ull);
	}
	if (has_rex)
		t->bytes[rex_at] |= (u8)((reg & 8) >> 1);
	if (!(flags & T_MEMORY) && random_below(8) == 0) {
		if (has_rex)
			t->bytes[rex_at] |= base >> 3;
		put(t, (u64)(0xc0 | (reg & 7) << 3 | (base & 7)), 1);
	} else if (random_below(8) == 0) {
		put_fixed_memory(t, reg, addr32, imm_size);
	} else {
		if (has_rex)
			t->bytes[rex_at] |= (u8)(base >> 3 | index >> 3 << 1);
		put_memory(t, reg, base, index, addr32);
	}
}

// Makes registers, prefixes and bytes of an instruction that the template allows.
static void make_trial(struct trial *t, const struct template *template)
{
	bool addr32 = random_below(4) == 0, rex = random_below(2), opsize, wide;
	unsigned size, imm_size = 0;
	u8 rex_at;

	*t = (struct trial){.template = template, .rflags = 0x202 | (random_u64() & FLAGS)};
	for (unsigned i = 0; i < 16; i++)
		t->gpr[i] = random_value();
	if (template->flags & T_STACK)
		t->gpr[GPR_RSP] = target();
	if (template->flags & T_CMPXCHG && random_below(2))
		t->gpr[GPR_RAX] = 0; // the memory is often 0, too
	opsize = !(template->flags & (T_BYTE | T_NO_66)) && random_below(4) == 0;
	wide = !(template->flags & T_BYTE) && rex && random_below(2);
	size = template->flags & T_BYTE ? 1 : wide ? 8 : opsize ? 2 : 4;
	if (template->flags & T_IMM8)
		imm_size = 1;
	if (template->flags & T_IMM)
		imm_size = MIN(size, 4);

	if (opsize)
		put(t, 0x66, 1);
	if (addr32)
		put(t, 0x67, 1);
	if (template->flags & T_STRING && random_below(4))
		put(t, random_below(2) ? 0xf2 : 0xf3, 1);
	rex_at = (u8)t->length;
	if (rex)
		put(t, wide ? 0x48 : 0x40, 1);
	else
		rex_at = 15; // reads as no prefix
	for (unsigned i = 0; i < template->opcode_length; i++)
		put(t, template->opcode[i], 1);
	if (template->flags & T_MODRM)
		put_modrm(t, rex_at, addr32, imm_size);
	if (template->flags & T_OFFSET)
		put(t, target(), addr32 ? 4 : 8);
	if (template->flags & T_STRING) {
		t->gpr[GPR_RSI] = target() | (addr32 ? random_u64() << 32 : 0);
		t->gpr[GPR_RDI] = target() | (addr32 ? random_u64() << 32 : 0);
		t->gpr[GPR_RCX] = random_below(random_below(8) ? 10 : 600) |
				  (addr32 ? random_u64() << 32 : 0);
	}
	put(t, random_value(), imm_size);
}

static void fill_memory(bool scan)
{
	unsigned kind = random_below(3);

	for (unsigned i = WINDOW - 128; i < WINDOW + 128; i += 8) {
		u64 value = kind == 0 || scan ? 0 : random_value();

		memcpy(arena + i, &value, 8);
	}
	if (scan)
		arena[WINDOW - 128 + random_below(256)] = (u8)random_u64();
	memcpy(initial, arena, ARENA_SIZE);
}

static int interpret(const struct trial *t, struct emulate_ctx *ctx, struct machine *m, u64 *gpr)
{
	int result;

	memcpy(shadow, initial, ARENA_SIZE);
	memcpy(gpr, t->gpr, sizeof(t->gpr));
	*ctx = (struct emulate_ctx){.gpr = gpr,
		.rip = (u64)(uintptr_t)code,
		.rflags = t->rflags,
		.mode = DECODE_64,
		.ops = &shadow_ops,
		.opaque = m};
	CHECK_EQ(decode_insn(&ctx->insn, t->bytes, t->length, DECODE_64), 0);
	CHECK_EQ(ctx->insn.length, t->length);
	do {
		result = emulate_insn(ctx);
	} while (result == EMULATE_MORE);
	return result;
}

static void show(const struct trial *t)
{
	fprintf(stderr, "%s:", t->template->name);
	for (unsigned i = 0; i < t->length; i++)
		fprintf(stderr, " %02x", t->bytes[i]);
	fprintf(stderr, "\n");
}

// After a failing access nothing has changed, but for the iterations of a REP that were done.
static void check_failures(const struct trial *t, unsigned accesses)
{
	struct emulate_ctx ctx;
	u64 gpr[16];

	for (unsigned i = 1; i <= accesses; i++) {
		struct machine m = {.fail_at = i};

		CHECK_EQ(interpret(t, &ctx, &m, gpr), -EIO);
		CHECK(!memcmp(gpr, t->gpr, sizeof(gpr)));
		CHECK_EQ(ctx.rflags, t->rflags);
		CHECK_EQ(ctx.rip, (u64)(uintptr_t)code);
	}
}

static bool try_once(const struct trial *t)
{
	struct machine m = {0};
	struct emulate_ctx ctx;
	int failures = test_failures;
	bool repeated;
	u64 gpr[16];

	fill_memory(t->template->flags & T_STRING && t->template->opcode[0] != 0xa4);
	CHECK_EQ(interpret(t, &ctx, &m, gpr), EMULATE_DONE);
	if (test_failures != failures)
		return false;

	memcpy(native_cpu.gpr, t->gpr, sizeof(t->gpr));
	native_cpu.rflags = t->rflags;
	native_run(code, t->bytes, t->length);

	for (unsigned i = 0; i < 16; i++)
		CHECK_EQ(gpr[i], native_cpu.gpr[i]);
	CHECK_EQ(ctx.rflags & t->template->defined, native_cpu.rflags & t->template->defined);
	CHECK_EQ(ctx.rip, (u64)(uintptr_t)code + t->length);
	CHECK(!memcmp(arena, shadow, ARENA_SIZE));
	repeated = ctx.insn.prefixes & (INSN_REP | INSN_REPNE);
	if (!repeated) {
		CHECK(m.reads <= (t->template->flags & T_STRING ? 2 : 1) && m.writes <= 1);
		check_failures(t, m.reads + m.writes);
	}
	memcpy(arena, initial, ARENA_SIZE);
	return test_failures == failures;
}

TEST(against_the_processor)
{
	const char *wanted = getenv("MEZZ_EMULATE_RUNS");
	unsigned long runs = wanted ? strtoul(wanted, NULL, 0) : 100000;
	unsigned shown = 0;

	for (unsigned long i = 0; i < runs; i++) {
		struct trial t;

		make_trial(&t, &templates[i % ARRAY_SIZE(templates)]);
		if (!try_once(&t)) {
			show(&t);
			if (++shown == 10)
				return;
		}
	}
}

// ---------------------------------------------------------------- beyond the processor
static u64 accesses[4], access_count;

static int read_log(void *opaque, u64 linear, void *data, size_t size)
{
	(void)opaque;
	if (access_count < ARRAY_SIZE(accesses))
		accesses[access_count] = linear;
	access_count++;
	memset(data, 0x5a, size);
	return 0;
}

static int write_log(void *opaque, u64 linear, const void *data, size_t size)
{
	(void)data;
	return read_log(opaque, linear, (u8[8]){0}, size);
}

static const struct emulate_ops log_ops = {.read = read_log, .write = write_log};
static u64 regs[16];

// Runs one instruction with the registers regs, FS at 0x1000 and GS at -0x1000, the others at
// 0x20000.
static int run(
	struct emulate_ctx *ctx, enum decode_mode mode, u64 rip, const char *bytes, size_t length)
{
	*ctx = (struct emulate_ctx){.gpr = regs,
		.rip = rip,
		.rflags = 2,
		.mode = mode,
		.stack_size = 2,
		.ops = &log_ops};
	for (unsigned i = 0; i < 6; i++)
		ctx->seg_base[i] = 0x20000;
	ctx->seg_base[SEG_FS] = 0x1000;
	ctx->seg_base[SEG_GS] = -0x1000ull;
	access_count = 0;
	CHECK_EQ(decode_insn(&ctx->insn, (const u8 *)bytes, length, mode), 0);
	CHECK_EQ(ctx->insn.length, length);
	return emulate_insn(ctx);
}

#define RUN(mode, rip, bytes) run(&ctx, mode, rip, bytes, sizeof(bytes) - 1)

TEST(linear_addresses)
{
	struct emulate_ctx ctx;

	memset(regs, 0, sizeof(regs));
	regs[GPR_RBX] = 0x1fff0, regs[GPR_RSI] = 0x30, regs[GPR_RBP] = 0xfffffff0;

	CHECK_EQ(RUN(DECODE_16, 0, "\x88\x00"), 0); // [bx+si]: 16 bits, then the base
	CHECK_EQ(accesses[0], 0x20020);
	CHECK_EQ(decode_linear_address(&ctx), 0x20020);
	CHECK_EQ(RUN(DECODE_32, 0, "\x67\x88\x00"), 0);
	CHECK_EQ(accesses[0], 0x20020);
	CHECK_EQ(RUN(DECODE_32, 0, "\x88\x45\x20"), 0); // [ebp+0x20] wraps at 4 GiB, by SS
	CHECK_EQ(accesses[0], 0x20010);
	CHECK_EQ(RUN(DECODE_32, 0, "\x65\x88\x03"), 0); // gs: the sum wraps at 4 GiB, too
	CHECK_EQ(accesses[0], 0x1eff0);
	regs[GPR_RBX] = 0x10;
	CHECK_EQ(RUN(DECODE_32, 0, "\x65\x88\x03"), 0);
	CHECK_EQ(accesses[0], 0xfffff010);
	CHECK_EQ(RUN(DECODE_64, 0, "\x36\x88\x03"), 0); // SS has no base in 64-bit code
	CHECK_EQ(accesses[0], 0x10);
	CHECK_EQ(RUN(DECODE_64, 0, "\x64\x2e\x88\x03"), 0); // CS does not cancel FS
	CHECK_EQ(accesses[0], 0x1010);
	CHECK_EQ(RUN(DECODE_64, 0xffffffff80000000, "\x88\x05\x00\x10\x00\x00"), 0);
	CHECK_EQ(accesses[0], 0xffffffff80001006);
	CHECK_EQ(RUN(DECODE_64, 0xffffffff80000000, "\x67\x88\x05\x00\x10\x00\x00"), 0);
	CHECK_EQ(accesses[0], 0x80001007);
	CHECK_EQ(RUN(DECODE_64, 0, "\x67\x64\x88\x45\x20"), 0); // FS is added after the 32-bit wrap
	CHECK_EQ(accesses[0], 0x1010);
	CHECK_EQ(RUN(DECODE_16, 0, "\xa2\x34\x12"), 0);
	CHECK_EQ(accesses[0], 0x21234);
	CHECK_EQ(ctx.rip, 3);
	CHECK_EQ(RUN(DECODE_32, 0xffffffff, "\x88\x03"), 0);
	CHECK_EQ(ctx.rip, 1);
}

TEST(non_canonical)
{
	struct emulate_ctx ctx;

	memset(regs, 0, sizeof(regs));
	regs[GPR_RBX] = 0x0000800000000000;
	CHECK_EQ(RUN(DECODE_64, 0, "\x8b\x03"), -EFAULT);
	regs[GPR_RBX] = 0x00007ffffffffffd; // its last byte is beyond
	CHECK_EQ(RUN(DECODE_64, 0, "\x8b\x03"), -EFAULT);
	regs[GPR_RBX] = 0xfffffffffffffffd;
	CHECK_EQ(RUN(DECODE_64, 0, "\x8b\x03"), -EFAULT);
	CHECK_EQ(access_count, 0);
	CHECK_EQ(regs[GPR_RAX], 0);
	CHECK_EQ(ctx.rip, 0);
	regs[GPR_RBX] = 0x00007ffffffffffc;
	CHECK_EQ(RUN(DECODE_64, 0, "\x8b\x03"), 0);
	CHECK_EQ(regs[GPR_RAX], 0x5a5a5a5a);
	regs[GPR_RBX] = 0xfffffffe;
	CHECK_EQ(RUN(DECODE_32, 0, "\x65\x8b\x83\x00\x10\x00\x00"), -EFAULT); // crosses 4 GiB
}

TEST(stack)
{
	struct emulate_ctx ctx;

	memset(regs, 0, sizeof(regs));
	regs[GPR_RSP] = 0xabcd0002;
	CHECK_EQ(RUN(DECODE_32, 0, "\xff\x33"), 0); // push dword, with a 16-bit stack
	CHECK_EQ(accesses[0], 0x20000);
	CHECK_EQ(accesses[1], 0x2fffe);
	CHECK_EQ(regs[GPR_RSP], 0xabcdfffe);
	regs[GPR_RSP] = 0x1000;
	CHECK_EQ(RUN(DECODE_64, 0, "\x8f\x04\x24"), 0); // pop [rsp]: the new RSP
	CHECK_EQ(accesses[0], 0x1000);
	CHECK_EQ(accesses[1], 0x1008);
}

TEST(repetition_is_bounded)
{
	struct emulate_ctx ctx;

	memset(regs, 0, sizeof(regs));
	regs[GPR_RCX] = 0xffffffffffffffff;
	CHECK_EQ(RUN(DECODE_64, 0x100, "\xf3\xab"), EMULATE_MORE);
	CHECK_EQ(access_count, EMULATE_REP_MAX);
	CHECK_EQ(regs[GPR_RCX], 0xffffffffffffffff - EMULATE_REP_MAX);
	CHECK_EQ(regs[GPR_RDI], 4 * EMULATE_REP_MAX);
	CHECK_EQ(ctx.rip, 0x100);

	regs[GPR_RCX] = EMULATE_REP_MAX, regs[GPR_RDI] = 0xfffe;
	CHECK_EQ(RUN(DECODE_16, 0x100, "\xf3\xab"), EMULATE_DONE); // DI wraps
	CHECK_EQ(regs[GPR_RCX], 0);
	CHECK_EQ(regs[GPR_RDI], (2 * EMULATE_REP_MAX - 2));
	CHECK_EQ(accesses[0], 0x2fffe);
	CHECK_EQ(accesses[1], 0x20000);
	CHECK_EQ(ctx.rip, 0x102);
}

static int in_log(void *opaque, u16 port, void *data, size_t size)
{
	return read_log(opaque, port, data, size);
}

static int out_log(void *opaque, u16 port, const void *data, size_t size)
{
	return write_log(opaque, port, data, size);
}

static const struct emulate_ops port_ops = {
	.read = read_log, .write = write_log, .in = in_log, .out = out_log};

TEST(string_io)
{
	struct emulate_ctx ctx;

	memset(regs, 0, sizeof(regs));
	regs[GPR_RDX] = 0xffff0cf8, regs[GPR_RCX] = 2, regs[GPR_RDI] = 0x100, regs[GPR_RSI] = 0x200;
	CHECK_EQ(RUN(DECODE_64, 0, "\xf3\x48\x6d"), -ENOSYS);
	ctx.ops = &port_ops;
	CHECK_EQ(emulate_insn(&ctx), EMULATE_DONE); // ins: 4 bytes at most
	CHECK_EQ(access_count, 4);
	CHECK_EQ(accesses[0], 0xcf8);
	CHECK_EQ(accesses[1], 0x100);
	CHECK_EQ(accesses[3], 0x104);
	CHECK_EQ(regs[GPR_RDI], 0x108);
	CHECK_EQ(regs[GPR_RCX], 0);

	CHECK_EQ(RUN(DECODE_16, 0, "\x64\x6e"), -ENOSYS);
	ctx.ops = &port_ops;
	CHECK_EQ(emulate_insn(&ctx), EMULATE_DONE); // outs: the source's segment can be overridden
	CHECK_EQ(accesses[0], 0x1200);
	CHECK_EQ(accesses[1], 0xcf8);
	CHECK_EQ(regs[GPR_RSI], 0x201);
}

TEST(not_known_here)
{
	struct emulate_ctx ctx;

	memset(regs, 0, sizeof(regs));
	CHECK_EQ(RUN(DECODE_64, 0, "\x0f\x10\x03"), -ENOSYS);             // movups
	CHECK_EQ(RUN(DECODE_64, 0, "\xc5\xf8\x10\x03"), -ENOSYS);         // vmovups
	CHECK_EQ(RUN(DECODE_64, 0, "\xf2\x0f\x38\xf0\x03"), -ENOSYS);     // crc32
	CHECK_EQ(RUN(DECODE_32, 0, "\x63\x03"), -ENOSYS);                 // arpl
	CHECK_EQ(RUN(DECODE_64, 0, "\xff\x13"), -ENOSYS);                 // call
	CHECK_EQ(RUN(DECODE_64, 0, "\xf6\x23"), -ENOSYS);                 // mul
	CHECK_EQ(RUN(DECODE_64, 0, "\xc7\xf8\x00\x00\x00\x00"), -ENOSYS); // xbegin
	CHECK_EQ(RUN(DECODE_64, 0, "\x6c"), -ENOSYS);                     // ins
	CHECK_EQ(access_count, 0);
	CHECK_EQ(ctx.rip, 0);
}

TEST_MAIN()
