// SPDX-License-Identifier: MIT
// A test of the disk drivers without guests: many requests at a time, of several sizes, to memory at good and at odd
// places. Each sector that is written holds its own number, so that what is read can be checked.
#include "kernel/mono/disktest.h"
#include "drivers/block.h"
#include "kernel/core/cmdline.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "lib/string.h"

#define DEPTH      32u
#define BUFFER     (128 * KiB)
#define AREA       (64 * MiB / BLOCK_SECTOR) // sectors that are used at most
#define END_NS     120000000000ull           // no phase takes as long
#define SEED       0x9E3779B97F4A7C15ull
#define EVERYTHING (~0ull)

// One way to use the disk.
struct phase {
	const char *name;
	enum block_op op;
	u32 bytes;  // of each request
	u32 depth;  // requests at a time
	u32 offset; // of the data in its buffer
	u64 count;  // requests, EVERYTHING: as many as the area holds
	bool random;
	bool check; // what is read must be what `write` put there
};

static const struct phase phases[] = {
	{"write 128 KiB", BLOCK_WRITE, BUFFER, 8, 0, EVERYTHING, false, false},
	{"write 4 KiB through the buffer", BLOCK_WRITE, 4096, 4, 1, 512, false, false},
	{"flush", BLOCK_FLUSH, 0, 1, 0, 4, false, false},
	{"read 128 KiB", BLOCK_READ, BUFFER, 8, 0, EVERYTHING, false, true},
	{"read 12 KiB at an odd sector", BLOCK_READ, 12288, DEPTH, 512, 4000, true, true},
	{"read 4 KiB through the buffer", BLOCK_READ, 4096, 4, 3, 1000, true, true},
	{"read 4 KiB, one at a time", BLOCK_READ, 4096, 1, 0, 4000, true, true},
	{"read 4 KiB, 32 at a time", BLOCK_READ, 4096, DEPTH, 0, 20000, true, true},
	{"zero 128 KiB", BLOCK_ZERO, BUFFER, 4, 0, 16, false, false},
	{"discard 128 KiB", BLOCK_DISCARD, BUFFER, 4, 0, 16, false, false},
};

static struct slot {
	struct block_request request;
	struct block_segment segments[2];
	u8 *buffer;
	bool busy;
} slots[DEPTH];

static struct {
	struct block_device *device;
	const struct phase *phase;
	bool written;
	u64 sectors; // of the area
	u64 next, given, ended, errors, wrong;
	u64 random;
} test;

static u64 *sector_at(struct slot *s, u64 i)
{
	return (u64 *)(void *)(s->buffer + test.phase->offset + i * BLOCK_SECTOR);
}

static void fill(struct slot *s)
{
	for (u64 i = 0; i < s->request.count; i++) {
		u64 v = (s->request.sector + i) * SEED;

		memcpy(sector_at(s, i), &v, 8);
		memcpy((u8 *)sector_at(s, i) + BLOCK_SECTOR - 8, &v, 8);
	}
}

static bool is_right(struct slot *s)
{
	for (u64 i = 0; i < s->request.count; i++) {
		u64 v = (s->request.sector + i) * SEED;

		if (memcmp(sector_at(s, i), &v, 8) != 0 ||
			memcmp((u8 *)sector_at(s, i) + BLOCK_SECTOR - 8, &v, 8) != 0)
			return false;
	}
	return true;
}

static void done(struct block_request *r, int err)
{
	struct slot *s = container_of(r, struct slot, request);

	test.errors += err != 0;
	if (!err && test.phase->check && test.written)
		test.wrong += !is_right(s);
	s->busy = false;
	atomic_add(&test.ended, 1);
}

// Where the next request goes, in sectors, at a multiple of the disk's blocks.
static u64 place(u64 count)
{
	u64 unit = test.device->disk->limits.block_size / BLOCK_SECTOR, at;

	if (test.phase->random) {
		test.random = test.random * 6364136223846793005ull + 1442695040888963407ull;
		return ALIGN_DOWN((test.random >> 20) % (test.sectors - count), unit);
	}
	at = test.next;
	test.next = at + 2 * count <= test.sectors ? at + count : 0;
	return at;
}

// The data in two segments when it is at an odd place.
static void submit(struct slot *s)
{
	const struct phase *p = test.phase;
	u64 at = va_to_hpa(s->buffer).v + p->offset;
	u32 first = p->offset % 4 ? 1000 : p->bytes;
	bool data = p->op == BLOCK_READ || p->op == BLOCK_WRITE;

	s->segments[0] = (struct block_segment){hpa(at), first};
	s->segments[1] = (struct block_segment){hpa(at + first), p->bytes - first};
	s->request = (struct block_request){.op = p->op,
		.sector = p->bytes ? place(p->bytes / BLOCK_SECTOR) : 0,
		.count = p->bytes / BLOCK_SECTOR,
		.segments = s->segments,
		.segment_count = data ? 2 : 0,
		.done = done};
	if (p->op == BLOCK_WRITE)
		fill(s);
	s->busy = true;
	test.given++;
	if (block_submit(test.device, &s->request))
		done(&s->request, -1);
}

static void give(u64 count)
{
	for (u32 i = 0; i < test.phase->depth && test.given < count; i++)
		if (!slots[i].busy)
			submit(&slots[i]);
	block_commit(test.device);
}

static void log_phase(u64 count, u64 ticks)
{
	u64 us = MAX(time_to_ns(ticks) / 1000, 1);

	log_line("disktest: %s, %s: %llu done, %llu errors, %llu wrong, %llu ms, %llu a second",
		test.device->name, test.phase->name, (unsigned long long)test.ended,
		(unsigned long long)test.errors, (unsigned long long)test.wrong,
		(unsigned long long)us / 1000, (unsigned long long)(count * 1000000 / us));
}

// False: requests did not end; their memory is lost to us.
static bool run(const struct phase *p)
{
	u64 count = p->count == EVERYTHING ? test.sectors * BLOCK_SECTOR / p->bytes : p->count;
	u64 start = time_now();

	test.phase = p;
	test.next = test.given = test.ended = test.errors = test.wrong = 0;
	while (test.ended < count) {
		give(count);
		timer_run(TIMER_NEVER);
		block_look();
		arch_take_interrupts();
		if (time_to_ns(time_now() - start) > END_NS)
			break;
	}
	log_phase(count, time_now() - start);
	return test.ended == count;
}

static void run_all(bool write)
{
	const struct block_limits *l = &test.device->disk->limits;

	test.written = write;
	for (u32 i = 0; i < ARRAY_SIZE(phases); i++) {
		const struct phase *p = &phases[i];

		if ((p->op != BLOCK_READ && !write) || (p->op == BLOCK_ZERO && !l->max_zero) ||
			(p->op == BLOCK_DISCARD && !l->max_discard))
			continue;
		if (!run(p)) {
			log_line("disktest: %s: gave up", test.device->name);
			return;
		}
	}
	log_line("disktest: %s: end", test.device->name);
}

void disktest_run(void)
{
	char text[48], *comma;
	const char *why;
	bool write;

	if (!cmdline_get("disktest", text, sizeof(text)))
		return;
	comma = strchr(text, ',');
	write = comma && strcmp(comma, ",write") == 0;
	if (comma)
		*comma = 0;
	test.device = block_find(text);
	why = test.device ? block_open(test.device, write) : "there is no such disk";
	for (u32 i = 0; i < DEPTH && !why; i++) {
		if (!slots[i].buffer)
			slots[i].buffer = kmem_alloc(BUFFER + PAGE_SIZE, FRAME_OWNER_KERNEL);
		if (!slots[i].buffer)
			why = "no memory";
	}
	if (why) {
		log_line("disktest: %s: %s", text, why);
		return;
	}
	test.sectors = MIN(test.device->sectors, AREA);
	run_all(write);
	block_close(test.device, write);
}
