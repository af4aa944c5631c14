// SPDX-License-Identifier: MIT
// Does the IOMMU keep a disk's controller from memory? A block is written and read back, once through memory that is
// mapped and once through memory that is not; patterns tell what got where.
#include "kernel/mono/reachtest.h"
#include "drivers/block.h"
#include "kernel/core/cmdline.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "lib/string.h"

#define BYTES  4096u
#define ALONE  (2 * MiB)      // memory that has I/O page tables of its own
#define END_NS 60000000000ull // for one request

static struct {
	struct block_device *device;
	struct block_request request;
	struct block_segment segment;
	u8 *memory; // that is mapped for the disk's controller meanwhile
	u8 *hidden; // that is never: ALONE bytes
	u64 over;   // atomic
	int err;
} test;

static void done(struct block_request *r, int err)
{
	(void)r;
	test.err = err;
	atomic_store(&test.over, 1);
}

// False: the request did not end; it keeps its memory.
static bool transfer(enum block_op op, bool unreachable)
{
	u64 count = BYTES / BLOCK_SECTOR, start = time_now();

	test.over = 0;
	test.segment =
		(struct block_segment){va_to_hpa(unreachable ? test.hidden : test.memory), BYTES};
	test.request = (struct block_request){.op = op,
		.sector = ALIGN_DOWN(test.device->sectors, count) - count,
		.count = count,
		.segments = &test.segment,
		.segment_count = 1,
		.unreachable = unreachable,
		.done = done};
	if (block_submit(test.device, &test.request))
		return false;
	block_commit(test.device);
	while (!atomic_load(&test.over)) {
		if (time_to_ns(time_now() - start) > END_NS)
			return false;
		timer_run(TIMER_NEVER);
		block_look();
		arch_take_interrupts();
	}
	return true;
}

static bool holds(const u8 *memory, u8 pattern)
{
	for (u32 i = 0; i < BYTES; i++)
		if (memory[i] != pattern)
			return false;
	return true;
}

// Writes memory full of `pattern`, then reads the block into memory full of something else.
static bool move(u8 pattern, bool write_unreachable, bool read_unreachable, const char *what)
{
	u8 *to = read_unreachable ? test.hidden : test.memory;
	int err;

	memset(write_unreachable ? test.hidden : test.memory, pattern, BYTES);
	if (!transfer(BLOCK_WRITE, write_unreachable))
		return false;
	err = test.err;
	memset(to, 0xEE, BYTES);
	if (!transfer(BLOCK_READ, read_unreachable))
		return false;
	log_line("reachtest: %s, %s: %s, write %s, read %s", test.device->name, what,
		holds(to, pattern)
			? "the pattern came back"
			: (holds(to, 0xEE) ? "memory is untouched" : "something else came"),
		err ? "failed" : "done", test.err ? "failed" : "done");
	return true;
}

void reachtest_run(void)
{
	char name[BLOCK_NAME];
	const char *why;

	if (!cmdline_get("reachtest", name, sizeof(name)))
		return;
	test.device = block_find(name);
	why = test.device ? block_open(test.device, true) : "there is no such disk";
	test.memory = why ? NULL : kmem_alloc(BYTES, FRAME_OWNER_KERNEL);
	test.hidden = why ? NULL : kmem_alloc(ALONE, FRAME_OWNER_KERNEL);
	if (!test.memory || !test.hidden) {
		log_line("reachtest: %s: %s", name, why ? why : "no memory");
		return;
	}
	if (!move(0x11, false, false, "mapped") ||
		!move(0x22, true, false, "written from memory that is not mapped") ||
		!move(0x33, false, true, "read to memory that is not mapped") ||
		!move(0x44, false, false, "mapped again"))
		log_line("reachtest: %s: a request did not end", name);
	log_line("reachtest: %s: end", name);
	block_close(test.device, true);
}
