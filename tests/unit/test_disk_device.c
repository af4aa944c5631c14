// SPDX-License-Identifier: MIT
// The end of a VM with a disk of the machine: what it wrote is flushed for it, whether it has done so itself or not.
// link: kernel/mono/disk.c kernel/mono/disk_device.c kernel/core/frame.c tests/unit/fake/arch.c
#include "tests/unit/test.h"
#include "drivers/block.h"
#include "kernel/core/frame.h"
#include "kernel/core/pcpu.h"
#include "kernel/mono/disk.h"
#include "kernel/mono/guest_wait.h"
#include "kernel/vm/vm.h"
#include "lib/errno.h"

#define RAM (16 * MiB)

static void *pool;
static u8 *guest; // a page
static struct vm vm;
static unsigned submitted, commits, dones;
static struct block_request *below; // the last that was submitted and not answered yet
static int refuse;
static u64 free_before;

// ---------------------------------------------------------------- the machine's disk

static struct block_disk whole = {
	.limits = {.block_size = 512, .max_zero = 1024, .max_discard = 1024}};
static struct block_device device = {.name = "nvme0n1", .disk = &whole, .sectors = 1024};

struct block_device *block_find(const char *name)
{
	return strcmp(name, device.name) == 0 ? &device : NULL;
}

const char *block_open(struct block_device *d, bool write)
{
	d->written = write;
	return NULL;
}

void block_close(struct block_device *d, bool write)
{
	CHECK(d->written == write);
	d->written = false;
}

int block_submit(struct block_device *d, struct block_request *r)
{
	CHECK(d == &device && !below);
	if (refuse)
		return refuse;
	submitted++;
	below = r;
	return 0;
}

void block_commit(struct block_device *d)
{
	CHECK(d == &device);
	commits++;
}

void *guest_ptr(struct vm *v, gpa_t addr, size_t size)
{
	CHECK(v == &vm);
	return addr.v + size <= PAGE_SIZE ? guest + addr.v : NULL;
}

// ---------------------------------------------------------------- nobody waits for the disk

static unsigned waiters;

void guest_wait_init(struct guest_wait *w, struct vm *v, struct host *h, u64 longest_ns,
	void (*tell)(struct guest_wait *))
{
	(void)h;
	*w = (struct guest_wait){.vm = v, .tell = tell, .longest = longest_ns};
	waiters++;
}

void guest_wait_destroy(struct guest_wait *w)
{
	CHECK_EQ(w->in_flight, 0);
	waiters--;
}

bool guest_wait_hold(struct guest_wait *w)
{
	(void)w;
	return false;
}

void guest_wait_stop(struct guest_wait *w)
{
	w->held = false;
}

void guest_wait_commit(struct guest_wait *w)
{
	w->begun = false;
}

static void answer(int err)
{
	struct block_request *r = below;
	struct block_series *series = r->series;

	below = NULL;
	r->done(r, err);
	if (series)
		series->over(series, 1);
}

// ---------------------------------------------------------------- the guest

static void done(struct host_block_request *r, enum host_block_status status)
{
	CHECK(r->op == HOST_BLOCK_READ || status == HOST_BLOCK_OK);
	dones++;
}

static void use(struct host_block *b, enum host_block_op op)
{
	struct host_segment s = {0, 512};
	struct host_block_request r = {.op = op,
		.count = op == HOST_BLOCK_FLUSH ? 0 : 1,
		.segment = &s,
		.segments = 1,
		.done = done};
	unsigned before = dones;

	host_block_submit(b, &r);
	host_block_commit(b);
	answer(0);
	CHECK_EQ(dones, before + 1);
}

static struct host_block *disk(bool write)
{
	const char *why = NULL;
	struct host_block *b;

	fake_reset(1);
	fake_ram(RAM);
	free(pool);
	pool = malloc(frame_bookkeeping_size(hpa(RAM)));
	frame_init(hpa(RAM), pool);
	frame_add_range(hpa(0), hpa(RAM));
	guest = kmem_alloc(PAGE_SIZE, 1);
	vm = (struct vm){.id = 1, .lock = SPINLOCK(LOCK_VM)};
	free_before = frame_free_count();
	below = NULL;
	refuse = 0;
	submitted = commits = dones = 0;
	b = disk_device_create(&vm, "nvme0n1", write, &why);
	CHECK(b && !why);
	return b;
}

static void destroy(struct host_block *b)
{
	b->ops->destroy(b);
	CHECK_EQ(waiters, 0);
	CHECK(!device.written);
	CHECK_EQ(frame_free_count(), free_before);
}

static bool reap_is_posted(void)
{
	bool posted = pcpus[0]->work & WORK_REAP;

	pcpus[0]->work = 0;
	return posted;
}

// One flush of ours, and only that.
static void settles(struct host_block *b, int err)
{
	unsigned before = submitted, told = commits;

	CHECK(!b->ops->settle(b));
	CHECK(submitted == before + 1 && commits == told + 1);
	CHECK(below && below->op == BLOCK_FLUSH && !below->count);
	CHECK(!b->ops->settle(b)); // asked again meanwhile
	CHECK_EQ(submitted, before + 1);
	reap_is_posted();
	answer(err);
	CHECK(reap_is_posted());
	CHECK(b->ops->settle(b));
	CHECK_EQ(submitted, before + 1);
}

TEST(what_was_written_is_flushed)
{
	static const enum host_block_op writes[] = {
		HOST_BLOCK_WRITE, HOST_BLOCK_ZERO, HOST_BLOCK_DISCARD};
	struct host_block *b = disk(true);

	for (unsigned i = 0; i < 3; i++) {
		use(b, writes[i]);
		use(b, HOST_BLOCK_READ);
		settles(b, 0);
	}
	destroy(b);
}

TEST(nothing_was_written)
{
	struct host_block *b = disk(true);

	CHECK(b->ops->settle(b));
	use(b, HOST_BLOCK_READ);
	use(b, HOST_BLOCK_FLUSH);
	CHECK(b->ops->settle(b));
	CHECK_EQ(submitted, 2);
	destroy(b);
	b = disk(false);
	use(b, HOST_BLOCK_READ);
	CHECK(b->ops->settle(b));
	CHECK_EQ(submitted, 1);
	destroy(b);
}

TEST(a_flush_that_fails_does_not_keep_the_vm)
{
	struct host_block *b = disk(true);
	unsigned lines;

	use(b, HOST_BLOCK_WRITE);
	lines = fake_log_lines;
	settles(b, -EIO);
	CHECK_EQ(fake_log_lines, lines + 1);
	use(b, HOST_BLOCK_WRITE);
	refuse = -ENODEV;
	CHECK(b->ops->settle(b));
	destroy(b);
}

TEST_MAIN()
