// SPDX-License-Identifier: MIT
// Disks and partitions of the root VM as stores, on a loop device: found by name and by PARTUUID, nobody else's when they are written,
// requests. Skipped where no loop device can be had.
// link: backend/disk.c backend/say.c storage/gpt.c storage/crc32.c lib/format.c net/bucket.c kernel/core/disk_line.c
// link: devices/host_linux/host_linux.c devices/host_linux/host_linux_timer.c devices/host_linux/host_linux_ring.c
// link: devices/host_linux/host_linux_block.c devices/host_linux/host_linux_file.c -luring
#include "tests/unit/test.h"
#include "backend/disk.h"
#include "devices/host_linux/host_linux_block.h"
#include "tests/unit/gpt_build.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/loop.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECTOR 512u
#define BYTES  (GPT_DISK_BLOCKS * SECTOR)
#define MEMORY (64u * 1024)

static char path[] = "/var/tmp/mezz-loop-XXXXXX", name[16];
static int loop = -1;

static bool loop_make(void)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), file = mkstemp(path), n;
	struct loop_config c = {.fd = (u32)file, .block_size = SECTOR};
	char device[32];

	n = control >= 0 ? ioctl(control, LOOP_CTL_GET_FREE) : -1;
	close(control);
	sprintf(name, "loop%d", n);
	sprintf(device, "/dev/%s", name);
	if (n < 0 || file < 0 || pwrite(file, gpt_disk, BYTES, 0) != (ssize_t)BYTES)
		return false;
	loop = open(device, O_RDWR | O_CLOEXEC);
	if (loop < 0 || ioctl(loop, LOOP_CONFIGURE, &c))
		return false;
	close(file);
	return true;
}

// The kernel may know no GPT, or look for none.
static bool partition_make(const struct gpt *g)
{
	struct blkpg_partition p = {
		.start = (s64)(g->partitions[0].first * SECTOR),
		.length = (s64)((g->partitions[0].last - g->partitions[0].first + 1) * SECTOR),
		.pno = (int)g->partitions[0].number,
	};
	struct blkpg_ioctl_arg a = {.op = BLKPG_ADD_PARTITION, .datalen = sizeof(p), .data = &p};

	return !ioctl(loop, BLKPG, &a) || errno == EBUSY;
}

static struct gpt table;

static bool possible(void)
{
	static int state = -1;
	const char *why;

	if (state >= 0)
		return state;
	gpt_build(&table, SECTOR);
	if (!gpt_read(&table, &why) || !table.count)
		abort();
	state = !getuid() && loop_make() && partition_make(&table);
	if (!state)
		fprintf(stderr, "test_backend_disk: no loop device here: nothing is tested\n");
	return state;
}

static int open_disk(const char *device, enum bundle_disk_mode mode, bool *busy)
{
	return disk_open_device("disk 0", device, mode == BUNDLE_DISK_RW, busy);
}

TEST(names)
{
	char uuid[37], found[40], part[40];
	bool busy;
	int fd;

	if (!possible())
		return;
	gpt_uuid_text(table.partitions[0].uuid, uuid);
	CHECK(disk_find(uuid, found, sizeof(found)));
	sprintf(part, "%sp%u", name, table.partitions[0].number);
	CHECK(!strcmp(found, part));
	uuid[0] ^= 1;
	CHECK(!disk_find(uuid, found, sizeof(found)));
	CHECK_EQ(open_disk(uuid, BUNDLE_DISK_RO, &busy), -1);
	CHECK_EQ(open_disk("../etc/passwd", BUNDLE_DISK_RO, &busy), -1);
	uuid[0] ^= 1;
	fd = open_disk(uuid, BUNDLE_DISK_RO, &busy);
	CHECK(fd >= 0);
	close(fd);
	fd = open_disk(part, BUNDLE_DISK_RO, &busy);
	CHECK(fd >= 0);
	close(fd);
}

// One that is written is nobody else's; neither is a disk of which a partition is written.
TEST(alone)
{
	char part[40];
	bool busy;
	int fd, other;

	if (!possible())
		return;
	sprintf(part, "%sp%u", name, table.partitions[0].number);
	fd = open_disk(part, BUNDLE_DISK_RW, &busy);
	CHECK(fd >= 0 && !busy);
	other = open_disk(part, BUNDLE_DISK_RW, &busy);
	CHECK(other < 0 && busy);
	other = open_disk(name, BUNDLE_DISK_RW, &busy);
	CHECK(other < 0 && busy);
	close(fd);
	fd = open_disk(part, BUNDLE_DISK_RW, &busy);
	CHECK(fd >= 0 && !busy);
	close(fd);
}

static unsigned dones;
static enum host_block_status last;

static void done(struct host_block_request *r, enum host_block_status status)
{
	(void)r;
	dones++;
	last = status;
}

static enum host_block_status run(
	struct host_block *b, enum host_block_op op, u64 sector, u64 gpa, u32 len, u64 count)
{
	struct host_segment s = {gpa, len};
	struct host_block_request r = {.op = op,
		.sector = sector,
		.count = len ? len / SECTOR : count,
		.segment = &s,
		.segments = len ? 1 : 0,
		.done = done};

	dones = 0;
	host_block_submit(b, &r);
	host_block_commit(b);
	while (!dones) {
		struct pollfd p = {.fd = host_ring_fd(b->ring), .events = POLLIN};

		if (!poll(&p, 1, 10000))
			abort();
		host_ring_reap(b->ring);
		host_ring_submit(b->ring);
	}
	return last;
}

TEST(requests)
{
	struct host h;
	struct host_ring *ring;
	struct host_block *b;
	const char *why;
	bool busy;
	u8 *memory;
	int fd;

	if (!possible())
		return;
	fd = open_disk(name, BUNDLE_DISK_RW, &busy);
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	host_linux_init(&h, "test");
	h.memory = memory;
	h.ram[0].end = MEMORY;
	ring = host_ring_create();
	b = host_block_create(&h, ring, fd, true, name, &why);
	CHECK(b && b->is_device && b->direct);
	CHECK_EQ(b->info.sectors, GPT_DISK_BLOCKS);
	CHECK_EQ(b->info.block_size, SECTOR);
	CHECK_EQ(run(b, HOST_BLOCK_READ, 1, 0x1000, 512, 0), HOST_BLOCK_OK);
	CHECK(!memcmp(memory + 0x1000, "EFI PART", 8));
	CHECK_EQ(run(b, HOST_BLOCK_READ, 1, 0x2003, 512, 0), HOST_BLOCK_OK); // by a buffer
	CHECK(!memcmp(memory + 0x2003, "EFI PART", 8));
	memset(memory + 0x3000, 0x5a, 4096);
	CHECK_EQ(run(b, HOST_BLOCK_WRITE, 40, 0x3000, 4096, 0), HOST_BLOCK_OK);
	CHECK_EQ(run(b, HOST_BLOCK_FLUSH, 0, 0, 0, 0), HOST_BLOCK_OK);
	CHECK_EQ(run(b, HOST_BLOCK_ZERO, 42, 0, 0, 2), HOST_BLOCK_OK);
	CHECK_EQ(run(b, HOST_BLOCK_DISCARD, 46, 0, 0, 2), HOST_BLOCK_OK);
	CHECK_EQ(run(b, HOST_BLOCK_READ, 40, 0x4000, 4096, 0), HOST_BLOCK_OK);
	CHECK(memory[0x4000] == 0x5a && memory[0x43ff] == 0x5a);
	CHECK(memory[0x4400] == 0 && memory[0x47ff] == 0);
	CHECK(memory[0x4800] == 0x5a && memory[0x4bff] == 0x5a);
	host_block_destroy(b);
	host_ring_destroy(ring);
	munmap(memory, MEMORY);
}

TEST(end)
{
	struct blkpg_partition p = {.pno = (int)table.partitions[0].number};
	struct blkpg_ioctl_arg a = {.op = BLKPG_DEL_PARTITION, .datalen = sizeof(p), .data = &p};

	if (loop >= 0) {
		ioctl(loop, BLKPG, &a);
		ioctl(loop, LOOP_CLR_FD);
		close(loop);
	}
	unlink(path);
}

TEST_MAIN()
