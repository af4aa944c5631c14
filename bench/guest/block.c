// SPDX-License-Identifier: MIT
// A block device through O_DIRECT: sequential by 1 MiB, random by 4 KiB with 1 and with 16 requests in flight.
#define _GNU_SOURCE
#include "measure.h"
#include "tests.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void blk_seq(int fd, int wr, u64 size, const char *name)
{
	const size_t bs = 1 << 20;
	long n = measure_scaled(96);
	char *buf;
	if ((u64)n * bs > size)
		n = (long)(size / bs);
	if (posix_memalign((void **)&buf, 4096, bs))
		return;
	memset(buf, 0x5a, bs);
	u64 t = now_ns();
	for (long i = 0; i < n; i++) {
		ssize_t r =
			wr ? pwrite(fd, buf, bs, i * (off_t)bs) : pread(fd, buf, bs, i * (off_t)bs);
		if (r != (ssize_t)bs) {
			measure_info("%s: %s", name, strerror(errno));
			return;
		}
	}
	t = now_ns() - t;
	free(buf);
	measure_value(name, (double)n * (double)bs / 1048576.0 / ((double)t / 1e9), "MiB/s");
}

static void blk_rand(int fd, int wr, int qd, long requests, u64 size, const char *name)
{
	aio_context_t ctx = 0;
	struct iocb cb[64], *p;
	struct io_event ev[64];
	char *buf;
	long total = measure_scaled(requests), issued = 0, done = 0;
	u64 r = 42, t;
	if (syscall(SYS_io_setup, 64, &ctx) ||
		posix_memalign((void **)&buf, 4096, (size_t)qd * 4096))
		return;
	memset(buf, 0xa5, (size_t)qd * 4096);
	memset(cb, 0, sizeof(cb));
	t = now_ns();
	for (int i = 0; i < qd; i++)
		cb[i].aio_data = (u64)i;
	long nfree = qd;
	int freelist[64];
	for (int i = 0; i < qd; i++)
		freelist[i] = i;
	while (done < total) {
		while (nfree > 0 && issued < total) {
			int i = freelist[--nfree];
			r = r * 6364136223846793005ull + 1442695040888963407ull;
			cb[i].aio_fildes = (u32)fd;
			cb[i].aio_lio_opcode = wr ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
			cb[i].aio_buf = (u64)(buf + (size_t)i * 4096);
			cb[i].aio_nbytes = 4096;
			cb[i].aio_offset = (long long)(((r >> 20) % (size / 4096)) * 4096);
			p = &cb[i];
			if (syscall(SYS_io_submit, ctx, 1, &p) != 1) {
				measure_info("%s: io_submit %s", name, strerror(errno));
				return;
			}
			issued++;
		}
		long k = syscall(SYS_io_getevents, ctx, 1, 64, ev, 0);
		for (long j = 0; j < k; j++) {
			if (ev[j].res != 4096) {
				measure_info("%s: I/O result %lld", name, (long long)ev[j].res);
				return;
			}
			freelist[nfree++] = (int)ev[j].data;
			done++;
		}
	}
	t = now_ns() - t;
	syscall(SYS_io_destroy, ctx);
	free(buf);
	measure_value(name, (double)total / ((double)t / 1e9), "IOPS");
}

// Waits for the device; its size in *size. -1: it cannot be used, which was said.
static int device_open(const char *dev, u64 *size)
{
	int fd = -1;
	for (int i = 0; i < 100 && fd < 0; i++) {
		fd = open(dev, O_RDWR | O_DIRECT);
		if (fd < 0)
			usleep(100000);
	}
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, size) || *size < (1 << 20)) {
		measure_info("blk: %s: %s", dev, strerror(errno));
		return -1;
	}
	return fd;
}

// Only the random reads with 16 requests in flight; the host counts exits meanwhile.
void block_depth_tests(const char *dev)
{
	u64 size;
	int fd = device_open(dev, &size);
	if (fd < 0)
		return;
	blk_rand(fd, 0, 16, 4000, size, "blk_randread_4k_qd16");
	close(fd);
}

static int cached; // whose first page is in memory

static void cached_read(long n)
{
	char page[4096];

	while (n-- && pread(cached, page, sizeof(page), 0) == sizeof(page))
		;
}

static void cached_read_exit(long n)
{
	while (n--) {
		u32 a = 0, b, c, d;

		cached_read(1);
		__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
	}
}

// What one exit costs whoever is at work in the kernel, unlike one in a loop that touches no memory.
static void exit_amid_work(const char *dev)
{
	cached = open(dev, O_RDONLY);
	measure_loop("amid_read", measure_scaled(1000), cached_read);
	measure_loop("amid_read_exit", measure_scaled(1000), cached_read_exit);
	close(cached);
}

// A disk that is an emulated NVMe controller's, here or below the hypervisor. In rounds, of which the last is what counts:
// natively few runs reach the end (docs/emulator.md).
void nvme_tests(const char *dev)
{
	u64 size;
	int fd = device_open(dev, &size);
	if (fd < 0)
		return;
	exit_amid_work(dev);
	blk_rand(fd, 0, 32, 500, size, "nvme_warm_up");
	for (int i = 0; i < 8; i++) {
		blk_rand(fd, 0, 1, 500, size, "nvme_randread_4k_qd1");
		blk_rand(fd, 0, 32, 2000, size, "nvme_randread_4k_qd32");
	}
	close(fd);
}

void block_tests(const char *dev)
{
	u64 size;
	int fd = device_open(dev, &size);
	if (fd < 0)
		return;
	measure_value("blk_size", (double)size, "B");
	blk_seq(fd, 0, size, "blk_seqread_1m");
	blk_seq(fd, 1, size, "blk_seqwrite_1m");
	blk_rand(fd, 0, 1, 600, size, "blk_randread_4k_qd1");
	blk_rand(fd, 1, 1, 600, size, "blk_randwrite_4k_qd1");
	blk_rand(fd, 0, 16, 4000, size, "blk_randread_4k_qd16");
	blk_rand(fd, 1, 16, 4000, size, "blk_randwrite_4k_qd16");
	close(fd);
}
