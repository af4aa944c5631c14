// SPDX-License-Identifier: MIT
// The reader of GUID partition tables: a good disk with bytes changed where the input says, the checksums
// put right or not.
//
// link: storage/gpt.c storage/crc32.c lib/format.c
// cc: -fno-sanitize-coverage=trace-cmp
// fuzz: -max_len=256
#include "tests/fuzz/input.h"
#include "tests/unit/gpt_build.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void check(const struct gpt *g)
{
	MUST(g->count <= GPT_PARTITIONS);
	for (unsigned i = 0; i < g->count; i++) {
		const struct gpt_partition *p = &g->partitions[i];

		MUST(p->first <= p->last && p->last < g->blocks && p->first >= 2);
		MUST(p->number >= 1 && strlen(p->name) <= 36);
		for (unsigned j = 0; j < i; j++)
			MUST(p->first > g->partitions[j].last || p->last < g->partitions[j].first);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct gpt g;
	struct input in = {data, size};
	u8 how = input_u8(&in);
	const char *why = NULL;
	bool good;

	gpt_build(&g, how & 1 ? 4096 : 512);
	gpt_bad_block = how & 2 ? input_u8(&in) % GPT_DISK_BLOCKS : 0;
	while (in.left) {
		u32 at = input_u16(&in) % (6 * gpt_block_size);

		if (at >= 4 * gpt_block_size) // the second copy
			at += (GPT_DISK_BLOCKS - 6) * gpt_block_size;
		gpt_disk[at] = input_u8(&in);
	}
	if (how & 4)
		gpt_seal(false);
	if (how & 8)
		gpt_seal(true);
	good = gpt_read(&g, &why);
	MUST(good || (why && !g.count));
	check(&g);
	return 0;
}
