// SPDX-License-Identifier: MIT
// The instruction decoder against Zydis: validity and length of random and of generated
// instructions.
// MEZZ_DECODE_RUNS sets their number (default 300000).
// link: kernel/vm/decode.c kernel/vm/decode_check.c kernel/vm/decode_prefix.c
// link: kernel/vm/decode_tables.c -lZydis
#include <Zydis/Zydis.h>
#include "tests/unit/test.h"
#include "kernel/vm/decode.h"
#include "lib/errno.h"

#define AVAIL 20 // more than an instruction can have

static ZydisDecoder zydis[3];
static const int bits[3] = {16, 32, 64};

__attribute__((constructor)) static void zydis_setup(void)
{
	ZydisDecoderInit(&zydis[DECODE_16], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	ZydisDecoderInit(&zydis[DECODE_32], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	ZydisDecoderInit(&zydis[DECODE_64], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

static u64 random_state = 0x6d657a7a616e696e;

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

static unsigned long run_count(void)
{
	const char *runs = getenv("MEZZ_DECODE_RUNS");

	return runs ? strtoul(runs, NULL, 0) : 300000;
}

static void fill(u8 *bytes)
{
	for (unsigned i = 0; i < AVAIL; i += 4)
		memcpy(bytes + i, &(u32){(u32)(random_u64() >> 32)}, 4);
}

// A plausible start (prefixes, escape or VEX-like prefix), then random bytes.
static void generate(u8 *bytes)
{
	static const u8 prefixes[] = {
		0x66, 0x66, 0xf2, 0xf3, 0x67, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65};
	unsigned n = 0, kind = random_below(10);
	bool long_run = random_below(32) == 0;

	fill(bytes);
	while (random_below(long_run ? 16 : 5) < (long_run ? 15 : 2) && n < 14)
		bytes[n++] = prefixes[random_below(sizeof(prefixes))];
	if (random_below(4) == 0)
		bytes[n++] = 0x40 | (u8)random_below(16);
	switch (kind) {
	case 0 ... 2:
		bytes[n++] = 0x0f;
		break;
	case 3 ... 4:
		bytes[n++] = 0x0f;
		bytes[n++] = kind == 3 ? 0x38 : 0x3a;
		break;
	case 5:
		bytes[n++] = 0xc5;
		break;
	case 6:
		bytes[n++] = 0xc4;
		bytes[n++] = (u8)(random_below(8) << 5 | random_below(5));
		break;
	case 7:
		bytes[n++] = 0x8f;
		bytes[n++] = (u8)(random_below(8) << 5 | (7 + random_below(5)));
		break;
	case 8:
		bytes[n++] = 0x62;
		bytes[n++] = (u8)(random_below(32) << 3 | random_below(8)) & 0xf7;
		bytes[n++] |= 4;
		break;
	}
}

// Where we accept what Zydis refuses, and why. Everything else must agree.
static bool is_lenient(const struct insn *insn)
{
	u8 op = insn->opcode;

	if (insn->map >= INSN_EVEX_0F) // we check opcode and length only
		return true;
	if (insn->map == INSN_0F &&
		(op == 0x1a || op == 0x1b)) // MPX has left the processors: these are NOPs
		return true;
	if (insn->map == INSN_VEX_0F38 && op >= 0x90 &&
		op <= 0x93) // gathers want three different registers
		return true;
	// AMX wants a SIB, and three different tiles.
	return insn->map == INSN_VEX_0F38 && (op == 0x4b || op == 0x5c || op == 0x5e);
}

// What we do not know and Zydis does: the first Xeon Phi.
static bool is_unknown(const ZydisDecodedInstruction *insn)
{
	return insn->meta.isa_ext == ZYDIS_ISA_EXT_KNC ||
	       insn->meta.isa_ext == ZYDIS_ISA_EXT_KNCE || insn->meta.isa_ext == ZYDIS_ISA_EXT_KNCV;
}

static int failures_shown;

static void show(const u8 *bytes, enum decode_mode mode, const char *what, int ours, int theirs)
{
	test_failures++;
	if (failures_shown++ > 40)
		return;
	fprintf(stderr, "%d-bit %s: ours %d, Zydis %d:", bits[mode], what, ours, theirs);
	for (int i = 0; i < 15; i++)
		fprintf(stderr, " %02x", bytes[i]);
	fprintf(stderr, "\n");
}

static unsigned long valid, refused, lenient, unknown;

static u8 register_number(ZydisRegister reg)
{
	return reg == ZYDIS_REGISTER_NONE ? INSN_NO_REG : (u8)ZydisRegisterGetId(reg);
}

// The memory operand that ModRM or an absolute offset names.
static bool same_memory(const struct insn *ours, const ZydisDecodedOperandMem *theirs)
{
	u8 segment = (u8)ZydisRegisterGetId(theirs->segment);
	bool rip = theirs->base == ZYDIS_REGISTER_RIP || theirs->base == ZYDIS_REGISTER_EIP;

	if (ours->rip_relative != rip || (!rip && ours->base != register_number(theirs->base)))
		return false;
	if (ours->index != register_number(theirs->index) || ours->segment != segment)
		return false;
	if (ours->index != INSN_NO_REG && ours->address_size > 2 &&
		1 << ours->scale != theirs->scale)
		return false;
	return (u64)(ours->disp ^ theirs->disp.value) << (64 - 8 * ours->address_size) == 0;
}

// Where Zydis 4.0 reports another memory operand than the processor uses.
static bool is_misread(const struct insn *ours, const ZydisDecodedInstruction *theirs)
{
	// SIB without base, whatever REX.B is: Zydis names R13D with 32-bit addresses.
	if (ours->address_size == 4 && theirs->raw.modrm.mod == 0 && theirs->raw.sib.base == 5)
		return ours->rex & INSN_REX_B;
	// CALL and JMP with 3E: CET's NOTRACK, but still a DS override.
	return ours->map == INSN_PRIMARY && ours->opcode == 0xff && ours->segment == SEG_DS;
}

static void compare_fields(const u8 *bytes, enum decode_mode mode, const struct insn *ours)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction theirs;
	bool found = false, same = false;

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&zydis[mode], bytes, AVAIL, &theirs, operands)))
		return;
	if (ours->has_memory && ours->address_size * 8 != theirs.address_width)
		show(bytes, mode, "address size", ours->address_size, theirs.address_width);
	if (ours->map <= INSN_0F3A && ours->imm_size && ours->imm_size <= 4 &&
		theirs.raw.imm[0].is_signed && ours->imm != theirs.raw.imm[0].value.s)
		show(bytes, mode, "immediate", (int)ours->imm, (int)theirs.raw.imm[0].value.s);
	for (int i = 0; i < theirs.operand_count_visible; i++) {
		if (operands[i].type != ZYDIS_OPERAND_TYPE_MEMORY ||
			operands[i].mem.type != ZYDIS_MEMOP_TYPE_MEM || !ours->has_memory)
			continue;
		found = true;
		same |= same_memory(ours, &operands[i].mem);
	}
	if (found && !same && !is_misread(ours, &theirs))
		show(bytes, mode, "memory operand", ours->base, ours->index);
}

// With fewer bytes than the instruction has, the decoder must ask for more.
static void check_truncated(const u8 *bytes, enum decode_mode mode, const struct insn *ours)
{
	struct insn insn;
	unsigned n = random_below(ours->length);
	u8 *copy = malloc(n); // so that the address sanitizer sees a read beyond it

	memcpy(copy, bytes, n);
	if (decode_insn(&insn, copy, n, mode) != -EAGAIN)
		show(bytes, mode, "truncated", (int)n, ours->length);
	free(copy);
}

static void compare(const u8 *bytes, enum decode_mode mode)
{
	ZydisDecodedInstruction theirs;
	struct insn ours;
	ZyanStatus status =
		ZydisDecoderDecodeInstruction(&zydis[mode], NULL, bytes, AVAIL, &theirs);
	int error = decode_insn(&ours, bytes, AVAIL, mode);
	unsigned fast = decode_length_fast(bytes, AVAIL);

	if (fast && (error || fast != ours.length))
		show(bytes, mode, "fast length", (int)fast, ours.length);
	if (!ZYAN_SUCCESS(status) && error) {
		refused++;
	} else if (!ZYAN_SUCCESS(status)) {
		lenient++;
		if (!is_lenient(&ours))
			show(bytes, mode, "refused by Zydis", ours.length, (int)(status & 0xfff));
	} else if (error) {
		unknown++;
		if (!is_unknown(&theirs))
			show(bytes, mode, "refused by us", error, theirs.length);
	} else {
		valid++;
		if (ours.length != theirs.length)
			show(bytes, mode, "length", ours.length, theirs.length);
		if (random_below(8) == 0)
			check_truncated(bytes, mode, &ours);
		if (!is_lenient(&ours))
			compare_fields(bytes, mode, &ours);
	}
}

TEST(random_bytes)
{
	unsigned long runs = run_count() / 4;
	u8 bytes[AVAIL];

	for (unsigned long i = 0; i < runs; i++) {
		fill(bytes);
		compare(bytes, (enum decode_mode)(i % 3));
	}
}

TEST(generated)
{
	unsigned long runs = run_count() - run_count() / 4;
	u8 bytes[AVAIL];

	for (unsigned long i = 0; i < runs; i++) {
		generate(bytes);
		compare(bytes, (enum decode_mode)(i % 3));
	}
	printf("%lu valid, %lu refused by both; %lu only Zydis refuses, %lu only we\n", valid,
		refused, lenient, unknown);
}

TEST(fast_length)
{
	static const u8 known[][3] = {{0x0f, 0xa2}, {0x0f, 0x30}, {0x0f, 0x31}, {0x0f, 0x32},
		{0x0f, 0x33}, {0x0f, 0x01, 0xd9}, {0x0f, 0x01, 0xc1}, {0x0f, 0x01, 0xd1},
		{0x0f, 0x01, 0xf9}, {0xf4}, {0x0f, 0x06}, {0x0f, 0x08}, {0x0f, 0x09}, {0xf3, 0x90}};
	u8 bytes[AVAIL] = {0};

	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		CHECK(decode_length_fast(known[i], 3));
	for (unsigned i = 0; i < 1 << 24; i++) {
		unsigned length;
		struct insn insn;

		bytes[0] = (u8)i;
		bytes[1] = (u8)(i >> 8);
		bytes[2] = (u8)(i >> 16);
		length = decode_length_fast(bytes, 3);
		if (!length)
			continue;
		CHECK_EQ(decode_insn(&insn, bytes, AVAIL, DECODE_64), 0);
		CHECK_EQ(insn.length, length);
	}
	CHECK_EQ(decode_length_fast(known[0], 2), 0);
}

TEST_MAIN()
