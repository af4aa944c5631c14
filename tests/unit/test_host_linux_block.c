// SPDX-License-Identifier: MIT
// Block stores of a process: a file below a temporary folder, with and without the page cache, and guest memory that is a mapping.
// link: devices/host_linux/host_linux.c devices/host_linux/host_linux_timer.c devices/host_linux/host_linux_ring.c
// link: devices/host_linux/host_linux_block.c devices/host_linux/host_linux_file.c net/bucket.c -luring
#include "tests/unit/test.h"
#include "devices/host_linux/host_linux_block.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECTOR  512u
#define SECTORS 8192u // 4 MiB
#define MEMORY  (8 * MiB)
#define HOLE    0xa0000u

struct rig {
	struct host h;
	struct host_ring *ring;
	struct host_block *b;
	u8 *memory;
	char path[64];
	unsigned idles;
};

struct job {
	struct host_block_request r;
	struct host_segment seg[130];
	unsigned done;
	enum host_block_status status;
};

static void job_done(struct host_block_request *r, enum host_block_status status)
{
	struct job *j = container_of(r, struct job, r);

	j->done++;
	j->status = status;
}

static void idle(void *device)
{
	((struct rig *)device)->idles++;
}

static u8 pattern(u64 at)
{
	return (u8)(at / SECTOR * 7 + at);
}

static void memory_make(struct rig *g)
{
	g->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (g->memory == MAP_FAILED)
		abort();
	host_linux_init(&g->h, "test");
	g->h.memory = g->memory;
	g->h.ram[0].end = HOLE;
	g->h.ram[1].start = 0xc0000;
	g->h.ram[1].end = MEMORY;
}

static struct rig *rig_create(bool direct, bool write)
{
	struct rig *g = calloc(1, sizeof(*g));
	const char *why;
	u8 *bytes;
	int fd;

	strcpy(g->path, "/var/tmp/mezz-block-XXXXXX"); // on a disk: /tmp may be memory
	fd = mkstemp(g->path);
	bytes = malloc(SECTORS * SECTOR);
	for (u64 i = 0; i < SECTORS * SECTOR; i++)
		bytes[i] = pattern(i);
	if (fd < 0 || pwrite(fd, bytes, SECTORS * SECTOR, 0) != SECTORS * SECTOR)
		abort();
	free(bytes);
	memory_make(g);
	g->ring = host_ring_create();
	if (!g->ring) {
		perror("io_uring");
		abort();
	}
	g->b = host_block_create(&g->h, g->ring, fd, write, "a disk with a very long name", &why);
	if (!g->b)
		abort();
	if (!direct) {
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_DIRECT);
		g->b->direct = false;
	}
	host_block_on_idle(g->b, idle, g);
	return g;
}

static void rig_free(struct rig *g)
{
	CHECK_EQ(g->ring->flights, 0);
	CHECK_EQ(g->ring->bounces, BIT(HOST_RING_BOUNCES) - 1);
	host_block_destroy(g->b);
	host_ring_destroy(g->ring);
	munmap(g->memory, MEMORY);
	unlink(g->path);
	free(g);
}

static void job_add(struct job *j, u64 gpa, u32 len)
{
	j->seg[j->r.segments++] = (struct host_segment){gpa, len};
	j->r.segment = j->seg;
	j->r.count += len / SECTOR;
	if (len % SECTOR) // the caller's pieces make whole sectors together
		j->r.count = 0;
}

static void submit(struct rig *g, struct job *j, enum host_block_op op, u64 sector)
{
	u64 bytes = 0;

	for (u32 i = 0; i < j->r.segments; i++)
		bytes += j->seg[i].len;
	if (j->r.segments)
		j->r.count = bytes / SECTOR;
	j->r.op = op;
	j->r.sector = sector;
	j->r.segment = j->seg;
	j->r.done = job_done;
	host_block_submit(g->b, &j->r);
}

static void wait_for(struct rig *g, struct job *j)
{
	host_block_commit(g->b);
	while (!j->done) {
		struct pollfd p = {.fd = host_ring_fd(g->ring), .events = POLLIN};

		if (poll(&p, 1, 10000) == 0)
			abort();
		host_ring_reap(g->ring);
		host_ring_submit(g->ring);
	}
	CHECK_EQ(j->done, 1);
}

static enum host_block_status run(struct rig *g, struct job *j, enum host_block_op op, u64 sector)
{
	submit(g, j, op, sector);
	wait_for(g, j);
	return j->status;
}

static u8 file_byte(struct rig *g, u64 at)
{
	int fd = open(g->path, O_RDONLY);
	u8 v = 0;

	CHECK_EQ(pread(fd, &v, 1, (off_t)at), 1);
	close(fd);
	return v;
}

static bool memory_is(struct rig *g, u64 gpa, u64 at, u64 n)
{
	for (u64 i = 0; i < n; i++)
		if (g->memory[gpa + i] != pattern(at + i))
			return false;
	return true;
}

TEST(info)
{
	struct rig *g = rig_create(true, true);
	const struct host_block_info *i = host_block_info(g->b);

	CHECK_EQ(i->sectors, SECTORS);
	CHECK_EQ(i->block_size, 512);
	CHECK(!i->read_only && i->discard && i->zero && !i->immediate);
	CHECK(!memcmp(i->id, "a disk with a very l", 20));
	if (!g->b->direct)
		fprintf(stderr,
			"test_host_linux_block: no O_DIRECT here: its paths are not tested\n");
	rig_free(g);
}

TEST(read_and_write)
{
	for (unsigned direct = 0; direct < 2; direct++) {
		struct rig *g = rig_create(direct, true);
		struct job a = {0}, b = {0}, c = {0};

		job_add(&a, 0x100000, 4096);
		job_add(&a, 0x1000, 8192);
		CHECK_EQ(run(g, &a, HOST_BLOCK_READ, 16), HOST_BLOCK_OK);
		CHECK(memory_is(g, 0x100000, 16 * 512, 4096));
		CHECK(memory_is(g, 0x1000, 16 * 512 + 4096, 8192));
		CHECK_EQ(g->idles, 1);
		memset(g->memory + 0x200000, 0x5a, 4096);
		job_add(&b, 0x200000, 512);
		CHECK_EQ(run(g, &b, HOST_BLOCK_WRITE, SECTORS - 1), HOST_BLOCK_OK);
		CHECK_EQ(file_byte(g, SECTORS * 512 - 1), 0x5a);
		CHECK_EQ(file_byte(g, SECTORS * 512 - 513), pattern(SECTORS * 512 - 513));
		CHECK(g->b->dirty);
		CHECK_EQ(run(g, &c, HOST_BLOCK_FLUSH, 0), HOST_BLOCK_OK);
		CHECK(!g->b->dirty);
		rig_free(g);
	}
}

// Whatever the guest's pieces are: odd addresses, odd lengths, empty ones, more than go in one piece.
TEST(any_framing)
{
	for (unsigned direct = 0; direct < 2; direct++) {
		struct rig *g = rig_create(direct, true);
		struct job in = {0}, out = {0};
		u64 at = 0x100001, bytes = 0;

		for (unsigned i = 0; i < 119; i++) {
			u32 len = i == 7 ? 0 : i == 50 ? 2 * MiB : 1 + i * 37 % 1000;

			job_add(&in, at, len);
			at += len + i % 3;
			bytes += len;
		}
		job_add(&in, at, (u32)(512 - bytes % 512));
		bytes += 512 - bytes % 512;
		CHECK_EQ(run(g, &in, HOST_BLOCK_READ, 3), HOST_BLOCK_OK);
		for (u64 i = 0, done = 0; i < in.r.segments; done += in.seg[i++].len)
			CHECK(memory_is(g, in.seg[i].gpa, 3 * 512 + done, in.seg[i].len));
		memcpy(out.seg, in.seg, sizeof(in.seg));
		out.r.segments = in.r.segments;
		CHECK_EQ(run(g, &out, HOST_BLOCK_WRITE, 1000), HOST_BLOCK_OK);
		for (u64 i = 0; i < bytes; i += 333)
			CHECK_EQ(file_byte(g, 1000 * 512 + i), pattern(3 * 512 + i));
		CHECK_EQ(file_byte(g, 1000 * 512 + bytes), pattern(1000 * 512 + bytes));
		CHECK_EQ(file_byte(g, 999 * 512 + 511), pattern(999 * 512 + 511));
		rig_free(g);
	}
}

TEST(refusals)
{
	struct rig *g = rig_create(true, false);
	struct job j[8] = {0};

	job_add(&j[0], 0x1000, 512);
	CHECK_EQ(run(g, &j[0], HOST_BLOCK_WRITE, 0), HOST_BLOCK_ERROR); // read-only
	job_add(&j[1], 0x1000, 1024);
	CHECK_EQ(run(g, &j[1], HOST_BLOCK_READ, SECTORS - 1), HOST_BLOCK_ERROR); // beyond the end
	job_add(&j[2], 0x1000, 512);
	CHECK_EQ(run(g, &j[2], HOST_BLOCK_READ, ~0ull), HOST_BLOCK_ERROR);
	job_add(&j[3], HOLE - 256, 512);
	CHECK_EQ(run(g, &j[3], HOST_BLOCK_READ, 0), HOST_BLOCK_NOT_RAM);
	job_add(&j[4], MEMORY, 512);
	CHECK_EQ(run(g, &j[4], HOST_BLOCK_READ, 0), HOST_BLOCK_NOT_RAM);
	job_add(&j[5], ~0ull - 600, 512);
	CHECK_EQ(run(g, &j[5], HOST_BLOCK_READ, 0), HOST_BLOCK_NOT_RAM);
	j[6].r.count = 1;
	CHECK_EQ(run(g, &j[6], HOST_BLOCK_ZERO, 0), HOST_BLOCK_ERROR);
	CHECK_EQ(run(g, &j[7], HOST_BLOCK_FLUSH, 0), HOST_BLOCK_OK);
	CHECK_EQ(file_byte(g, 0), pattern(0));
	rig_free(g);
}

// The file has become shorter: an error, and no end of trying.
TEST(short_file)
{
	for (unsigned direct = 0; direct < 2; direct++) {
		struct rig *g = rig_create(direct, true);
		struct job j = {0};

		CHECK(!truncate(g->path, 4096));
		job_add(&j, 0x1000, 8192);
		CHECK_EQ(run(g, &j, HOST_BLOCK_READ, 0), HOST_BLOCK_ERROR);
		rig_free(g);
	}
}

TEST(zero_and_discard)
{
	struct rig *g = rig_create(true, true);
	struct job z = {0}, d = {0};

	z.r.count = 16;
	CHECK_EQ(run(g, &z, HOST_BLOCK_ZERO, 8), HOST_BLOCK_OK);
	CHECK_EQ(file_byte(g, 8 * 512 - 1), pattern(8 * 512 - 1));
	CHECK_EQ(file_byte(g, 8 * 512), 0);
	CHECK_EQ(file_byte(g, 24 * 512 - 1), 0);
	CHECK_EQ(file_byte(g, 24 * 512), pattern(24 * 512));
	d.r.count = 64;
	CHECK_EQ(run(g, &d, HOST_BLOCK_DISCARD, 128), HOST_BLOCK_OK);
	CHECK_EQ(file_byte(g, 128 * 512 - 1), pattern(128 * 512 - 1));
	CHECK_EQ(file_byte(g, 192 * 512), pattern(192 * 512));
	rig_free(g);
}

// More at once than buffers, and than entries: all are done, once.
TEST(many)
{
	struct rig *g = rig_create(true, true);
	struct job *j = calloc(600, sizeof(*j));

	for (unsigned i = 0; i < 600; i++) {
		job_add(&j[i], 0x100000 + i * 4096 + (i % 2 ? 1 : 0),
			2048); // every other through a buffer
		submit(g, &j[i], HOST_BLOCK_READ, i * 4);
	}
	for (unsigned i = 0; i < 600; i++) {
		wait_for(g, &j[i]);
		CHECK_EQ(j[i].status, HOST_BLOCK_OK);
		CHECK(memory_is(g, j[i].seg[0].gpa, i * 4 * 512, 2048));
	}
	CHECK(!g->ring->head);
	free(j);
	rig_free(g);
}

TEST(settle)
{
	struct rig *g = rig_create(true, true);

	CHECK(g->b->dirty); // by the one before, perhaps
	CHECK(!host_block_settle(g->b));
	CHECK(!host_block_settle(g->b));
	while (!host_block_settle(g->b))
		host_ring_reap(g->ring);
	CHECK(!g->b->dirty);
	CHECK(host_block_settle(g->b));
	rig_free(g);
}

// A file that the ring holds stays open when the process has closed it, and is closed after the process was killed: that is what
// the next back-end waits for.
TEST(hold)
{
	char path[] = "/tmp/mezz-hold-XXXXXX";
	int lock = mkstemp(path), status;
	pid_t child = fork();

	if (!child) {
		struct host_ring *r = host_ring_create();
		int fd = open(path, O_RDWR);

		if (!r || flock(fd, LOCK_EX) || host_ring_hold(r, fd))
			_exit(1);
		close(fd);
		if (flock(lock, LOCK_EX | LOCK_NB) == 0) // the ring's is still there
			_exit(2);
		kill(getpid(), SIGKILL);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	for (unsigned i = 0; i < 1000 && flock(lock, LOCK_EX | LOCK_NB); i++)
		usleep(10000);
	CHECK_EQ(flock(lock, LOCK_EX | LOCK_NB), 0);
	close(lock);
	unlink(path);
}

static unsigned order[8], fired;

static void note(struct host_timer *t)
{
	order[fired++ % 8] = (unsigned)t->space[7];
}

TEST(timers)
{
	struct rig *g = rig_create(true, true);
	struct host_timer t[4];

	fired = 0;
	for (unsigned i = 0; i < 4; i++) {
		host_timer_init(&g->h, &t[i], note);
		t[i].space[7] = i;
	}
	CHECK_EQ(host_linux_timeout(&g->h), ~0ull);
	host_timer_set(&t[0], 3000000);
	host_timer_set(&t[1], 1000000);
	host_timer_set(&t[2], 2000000);
	host_timer_set(&t[3], 1500000);
	CHECK(host_linux_timeout(&g->h) <= 1000000);
	host_timer_cancel(&t[2]);
	host_timer_set(&t[1], 60000000000ull); // moved
	host_linux_timers_run(&g->h);
	CHECK_EQ(fired, 0);
	usleep(4000);
	CHECK_EQ(host_linux_timeout(&g->h), 0);
	host_linux_timers_run(&g->h);
	CHECK_EQ(fired, 2);
	CHECK(order[0] == 3 && order[1] == 0);
	CHECK(t[1].armed && !t[0].armed);
	host_timer_destroy(&t[1]);
	CHECK(!g->h.timer);
	rig_free(g);
}

TEST_MAIN()
