// SPDX-License-Identifier: MIT
// Runs in a Linux guest: pattern DISK AREA DIRECTORY SEED BASE. Writes numbered blocks to a disk from byte AREA on, past the
// guest's cache, and files to a directory, and prints what a flush has covered, until the machine is gone. blackout.py
// knows the same pseudo-random sequence and checks the disk afterwards.
//   R w n   worker w: its writes up to number n were completed before a flush that has completed
//   F w n   worker w: the file with number n and its name are safe (fsync of both);   A w n: appended and fdatasync
//   P w n   worker w, which reads a block every few ms: this one took n ms, more than is usual
#define _GNU_SOURCE // for O_DIRECT

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 4  // on the raw area
#define FILERS  2  // on files
#define PATIENT 40 // ms that a read may take without a word
#define BATCH   8 // writes in flight of a worker; each has its stripe of blocks, so that none overlap
#define STRIPE  32
#define LONGEST 4 // blocks of one write
#define BLOCK   4096
#define SECTOR  512
#define SLOTS   4
#define APPENDS 256

struct sector {
	uint32_t magic, crc, worker, number, block, sector, fill[(SECTOR - 24) / 4];
};
_Static_assert(sizeof(struct sector) == SECTOR, "a sector");

static uint64_t state;

static uint32_t random32(void) // xorshift64*
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)(state * 0x2545F4914F6CDD1Dull >> 32);
}

static __attribute__((format(printf, 1, 2), noreturn)) void bad(const char *fmt, ...)
{
	char line[200] = "PATTERN BAD ";
	va_list args;

	va_start(args, fmt);
	vsnprintf(line + 12, sizeof(line) - 12, fmt, args);
	va_end(args);
	printf("%s: %s\n", line, strerror(errno));
	exit(1);
}

static void tell(char what, unsigned worker, uint32_t number)
{
	char line[40];
	int n = snprintf(line, sizeof(line), "%c %u %u\n", what, worker, number);

	if (write(STDOUT_FILENO, line, (size_t)n) != n)
		bad("console");
}

static uint32_t crc32_of(const void *data, size_t n)
{
	static uint32_t table[256];
	const uint8_t *p = data;
	uint32_t crc = ~0u;

	for (uint32_t i = 0; !table[255] && i < 256; i++) {
		table[i] = i;
		for (int k = 0; k < 8; k++)
			table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xEDB88320u : 0);
	}
	while (n--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
	return ~crc;
}

static void block_make(void *to, unsigned worker, uint32_t number, uint32_t block)
{
	struct sector *s = to;

	for (uint32_t i = 0; i < BLOCK / SECTOR; i++, s++) {
		*s = (struct sector){0x7A7A656D, 0, worker, number, block, i, {0}};
		for (uint32_t k = 0; k < sizeof(s->fill) / 4; k++)
			s->fill[k] = number * 2654435761u + block * 40503u + i * 977 + k;
		s->crc = crc32_of(&s->worker, SECTOR - 8);
	}
}

// ---------------------------------------------------------------- the raw area

struct raw {
	int fd;
	unsigned worker;
	uint64_t area;                         // bytes before the worker's first block
	uint32_t number, last[BATCH * STRIPE]; // the number that each block got last
	aio_context_t aio;
	uint8_t *memory; // of BATCH writes
};

// Writes in flight together; returns when all are completed.
static void batch_write(struct raw *r)
{
	struct iocb cb[BATCH] = {0}, *list[BATCH];
	struct io_event done[BATCH];
	uint32_t n = 1 + random32() % BATCH;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t blocks = 1 + random32() % LONGEST;
		uint32_t first = i * STRIPE + random32() % (STRIPE - LONGEST + 1);
		uint8_t *from = r->memory + i * LONGEST * BLOCK;

		r->number++;
		for (uint32_t k = 0; k < blocks; k++) {
			block_make(from + k * BLOCK, r->worker, r->number, first + k);
			r->last[first + k] = r->number;
		}
		cb[i].aio_lio_opcode = IOCB_CMD_PWRITE;
		cb[i].aio_fildes = (uint32_t)r->fd;
		cb[i].aio_buf = (uintptr_t)from;
		cb[i].aio_nbytes = cb[i].aio_data = blocks * BLOCK;
		cb[i].aio_offset = (int64_t)(r->area + (uint64_t)first * BLOCK);
		list[i] = &cb[i];
	}
	if (syscall(SYS_io_submit, r->aio, n, list) != (long)n ||
		syscall(SYS_io_getevents, r->aio, n, n, done, NULL) != (long)n)
		bad("io_submit");
	for (uint32_t i = 0; i < n; i++)
		if (done[i].res != (int64_t)done[i].data)
			bad("write of worker %u: %lld", r->worker, (long long)done[i].res);
}

// One of the worker's blocks must hold what it wrote there last.
static void block_check(struct raw *r)
{
	uint32_t block = random32() % (BATCH * STRIPE);
	uint8_t *got = r->memory, *wanted = r->memory + BLOCK;

	if (!r->last[block])
		return;
	if (pread(r->fd, got, BLOCK, (off_t)(r->area + (uint64_t)block * BLOCK)) != BLOCK)
		bad("read of worker %u", r->worker);
	block_make(wanted, r->worker, r->last[block], block);
	if (memcmp(got, wanted, BLOCK) != 0)
		bad("block %u of worker %u", block, r->worker);
}

static void raw_work(const char *disk, uint64_t area, unsigned worker, uint32_t base)
{
	struct raw r = {.worker = worker, .number = base};

	r.fd = open(disk, O_RDWR | O_DIRECT);
	r.area = area + (uint64_t)worker * BATCH * STRIPE * BLOCK;
	if (r.fd < 0 || syscall(SYS_io_setup, BATCH, &r.aio))
		bad("%s", disk);
	r.memory = aligned_alloc(BLOCK, BATCH * LONGEST * BLOCK);
	if (!r.memory)
		bad("memory");
	for (;;) {
		batch_write(&r);
		if (random32() & 1) {
			if (fdatasync(r.fd))
				bad("flush of worker %u", worker);
			tell('R', worker, r.number);
		}
		block_check(&r);
	}
}

// ---------------------------------------------------------------- files

static void blocks_append(int fd, unsigned worker, uint32_t number, uint32_t first, uint32_t n)
{
	static uint8_t block[BLOCK];

	for (uint32_t i = 0; i < n; i++) {
		block_make(block, worker, number, first + i);
		if (write(fd, block, BLOCK) != BLOCK)
			bad("write to a file");
	}
}

// A file with the number takes the place of an older one, as a whole.
static void file_replace(int dir, unsigned worker, uint32_t number)
{
	char slot[16];
	int fd = openat(dir, "new", O_CREAT | O_TRUNC | O_WRONLY, 0600);

	if (fd < 0)
		bad("a new file");
	blocks_append(fd, worker, number, 0, 1 + random32() % 8);
	snprintf(slot, sizeof(slot), "%u", number % SLOTS);
	if (fsync(fd) || close(fd) || renameat(dir, "new", dir, slot) || fsync(dir))
		bad("a file's safety");
	tell('F', worker, number);
}

static void file_work(const char *directory, unsigned worker, uint32_t base)
{
	char path[200];
	int dir, log;

	snprintf(path, sizeof(path), "%s/%u", directory, worker);
	if (mkdir(path, 0700) && errno != EEXIST)
		bad("%s", path);
	dir = open(path, O_RDONLY | O_DIRECTORY);
	log = openat(dir, "log", O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600);
	if (dir < 0 || log < 0 || fsync(log) || fsync(dir))
		bad("%s", path);
	for (uint32_t i = 0;; i++) {
		file_replace(dir, worker, base + 1 + i);
		if (i >= APPENDS)
			continue;
		blocks_append(log, worker, base + 1 + i, i, 1);
		if (fdatasync(log))
			bad("a log's safety");
		tell('A', worker, base + 1 + i);
	}
}

// ---------------------------------------------------------------- pauses

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void watch(const char *disk, unsigned worker)
{
	void *block = aligned_alloc(BLOCK, BLOCK);
	int fd = open(disk, O_RDONLY | O_DIRECT);

	if (!block || fd < 0)
		bad("%s", disk);
	for (;;) {
		int64_t start = now_ms(), took;

		if (pread(fd, block, BLOCK, 0) != BLOCK)
			bad("read of worker %u", worker);
		took = now_ms() - start;
		if (took > PATIENT)
			tell('P', worker, (uint32_t)took);
		usleep(5000);
	}
}

int main(int argc, char **argv)
{
	uint64_t area, seed;
	uint32_t base;

	if (argc != 6)
		return 2;
	area = strtoull(argv[2], NULL, 0);
	seed = strtoull(argv[4], NULL, 0);
	base = (uint32_t)strtoul(argv[5], NULL, 0);
	printf("PATTERN begins\n");
	fflush(stdout);
	for (unsigned i = 0; i <= WORKERS + FILERS; i++) {
		if (fork() != 0)
			continue;
		state = (seed * 64 + i + 1) * 0x9E3779B97F4A7C15ull | 1;
		if (i < WORKERS)
			raw_work(argv[1], area, i, base);
		else if (i < WORKERS + FILERS)
			file_work(argv[3], i, base);
		else
			watch(argv[1], i);
	}
	while (wait(NULL) > 0)
		;
	return 1;
}
