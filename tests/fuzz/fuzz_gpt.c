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

#define HEADER      92u
#define CHANGES_MAX 100u

static struct {
	u32 at;
	u8 was;
} changes[CHANGES_MAX];
static unsigned change_count;
static u8 headers[2][2][HEADER]; // the good ones of both disks

// Two good disks, one of each block size.
static void make_all(void)
{
	for (unsigned i = 0; i < 2; i++) {
		gpt_disk = gpt_disks[i];
		gpt_build_disk(i ? 4096 : 512);
		memcpy(headers[i][0], gpt_header(false), HEADER);
		memcpy(headers[i][1], gpt_header(true), HEADER);
	}
}

static void change(u32 at, u8 value)
{
	MUST(change_count < CHANGES_MAX);
	changes[change_count].at = at;
	changes[change_count++].was = gpt_disk[at];
	gpt_disk[at] = value;
}

static void change_back(unsigned disk)
{
	while (change_count) {
		change_count--;
		gpt_disk[changes[change_count].at] = changes[change_count].was;
	}
	memcpy(gpt_header(false), headers[disk][0], HEADER);
	memcpy(gpt_header(true), headers[disk][1], HEADER);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct gpt g;
	struct input in = {data, size};
	u8 how = input_u8(&in);
	const char *why = NULL;
	bool good;

	if (!gpt_block_size)
		make_all();
	gpt_disk = gpt_disks[how & 1];
	gpt_block_size = how & 1 ? 4096 : 512;
	gpt_begin(&g);
	gpt_bad_block = how & 2 ? input_u8(&in) % GPT_DISK_BLOCKS : 0;
	while (in.left) {
		u32 at = input_u16(&in) % (6 * gpt_block_size);

		if (at >= 4 * gpt_block_size) // the second copy
			at += (GPT_DISK_BLOCKS - 6) * gpt_block_size;
		change(at, input_u8(&in));
	}
	if (how & 4)
		gpt_seal(false);
	if (how & 8)
		gpt_seal(true);
	good = gpt_read(&g, &why);
	MUST(good || (why && !g.count));
	check(&g);
	change_back(how & 1);
	return 0;
}
