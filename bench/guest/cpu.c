// SPDX-License-Identifier: MIT
// Work that should not exit: arithmetic, memory, system calls, processes; and two processes handing a byte back and forth.
#define _GNU_SOURCE
#include "measure.h"
#include "tests.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile u64 sink;

static void b_int(long n)
{
	u64 x = 88172645463325252ull;
	for (long i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	sink = x;
}

static u32 *chase;
static void b_chase(long n)
{
	u32 p = 0;
	for (long i = 0; i < n; i++)
		p = *(volatile u32 *)&chase[p];
	sink = p;
}

static void make_chase(size_t words, size_t stride)
{
	// One cycle through words/stride slots in a shuffled order.
	size_t n = words / stride;
	u32 *order = malloc(n * sizeof(*order));
	u64 r = 12345;
	for (size_t i = 0; i < n; i++)
		order[i] = (u32)i;
	for (size_t i = n - 1; i > 0; i--) {
		r = r * 6364136223846793005ull + 1442695040888963407ull;
		size_t j = (size_t)((r >> 33) % (i + 1));
		u32 t = order[i];
		order[i] = order[j];
		order[j] = t;
	}
	for (size_t i = 0; i < n; i++)
		chase[order[i] * stride] = (u32)(order[(i + 1) % n] * stride);
	free(order);
}

static void b_syscall(long n)
{
	for (long i = 0; i < n; i++)
		syscall(SYS_getppid);
}

static void b_clock(long n)
{
	for (long i = 0; i < n; i++)
		now_ns();
}

static void b_rdtsc(long n)
{
	for (long i = 0; i < n; i++)
		rdtsc();
}

static void b_fork(long n)
{
	for (long i = 0; i < n; i++) {
		pid_t p = fork();
		if (p == 0)
			_exit(0);
		waitpid(p, 0, 0);
	}
}

static void pingpong(const char *name, int cpu_a, int cpu_b, long n)
{
	int ab[2], ba[2];
	char c = 0;
	double d[BATCHES];
	if (pipe(ab) || pipe(ba))
		return;
	pid_t p = fork();
	if (p == 0) {
		measure_pin(cpu_b);
		close(ab[1]);
		while (read(ab[0], &c, 1) == 1)
			if (write(ba[1], &c, 1) != 1)
				break;
		_exit(0);
	}
	close(ab[0]);
	measure_pin(cpu_a);
	for (int i = -1; i < BATCHES; i++) {
		u64 t = rdtsc();
		for (long k = 0; k < n; k++)
			if (write(ab[1], &c, 1) != 1 || read(ba[0], &c, 1) != 1)
				return;
		if (i >= 0)
			d[i] = measure_ns((double)(rdtsc() - t)) / (double)n;
	}
	close(ab[1]);
	close(ba[0]);
	close(ba[1]);
	waitpid(p, 0, 0);
	measure_sort(d, BATCHES);
	measure_value(name, d[BATCHES / 2], "ns");
}

void cpu_tests(void)
{
	measure_loop("cpu_int", measure_scaled(1000000), b_int);
	chase = mmap(0, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(chase, 64 << 20, MADV_NOHUGEPAGE);
	make_chase(4096, 16); // 16 KiB: stays in the first-level cache and the TLB
	measure_loop("mem_l1", measure_scaled(1000000), b_chase);
	make_chase(16 << 20, 1024 + 16); // 64 MiB, each step on another page
	measure_loop("mem_tlbmiss", measure_scaled(100000), b_chase);
	munmap(chase, 64 << 20);
	measure_loop("syscall", measure_scaled(100000), b_syscall);
	measure_loop("clock_gettime", measure_scaled(20000), b_clock);
	measure_loop("rdtsc", measure_scaled(20000), b_rdtsc);
	measure_loop("fork_wait", measure_scaled(50), b_fork);
	pingpong("ctxsw_same_cpu", 0, 0, measure_scaled(2000));
}

void ipi_tests(void)
{
	pingpong("ipi_pingpong", 0, 1, measure_scaled(150));
}
