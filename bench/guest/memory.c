// SPDX-License-Identifier: MIT
// A write to each page of 128 MiB: memory that the VM never had, and once more.
#define _GNU_SOURCE
#include "measure.h"
#include "tests.h"
#include <sys/mman.h>

static void touch(const char *name)
{
	const size_t sz = 128u << 20;
	char *p = mmap(0, sz, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return;
	madvise(p, sz, MADV_NOHUGEPAGE);
	u64 t = rdtsc();
	for (size_t i = 0; i < sz; i += 4096)
		p[i] = 1;
	t = rdtsc() - t;
	munmap(p, sz);
	measure_value(name, measure_ns((double)t) / (double)(sz / 4096), "ns/page");
}

void memory_tests(void)
{
	touch("mem_touch_first");
	touch("mem_touch_again");
}
