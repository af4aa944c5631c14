// SPDX-License-Identifier: MIT
// Clocks, iteration counts and result lines of the benchmarks.
#define _GNU_SOURCE
#include "measure.h"
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static double tsc_hz;
static int scale = 100;
static const char *prefix = "";

void measure_setup(const char *name_prefix, int per_cent)
{
	prefix = name_prefix;
	scale = per_cent;
}

long measure_scaled(long n)
{
	n = n * scale / 100;
	return n < 1 ? 1 : n;
}

void measure_value(const char *name, double value, const char *unit)
{
	printf("BENCH %s%s %.3f %s\n", prefix, name, value, unit);
	fflush(stdout);
}

void measure_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("INFO ");
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	fflush(stdout);
}

double measure_ns(double ticks)
{
	return ticks * 1e9 / tsc_hz;
}

void measure_calibrate(void)
{
	// Spin; a sleep would be warped under -icount.
	u64 n0 = now_ns(), t0 = rdtsc(), n1, t1;

	do {
		n1 = now_ns();
		t1 = rdtsc();
	} while (n1 - n0 < 100000000ull);
	tsc_hz = (double)(t1 - t0) * 1e9 / (double)(n1 - n0);
	measure_value("tsc_hz", tsc_hz, "Hz");
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

void measure_sort(double *d, size_t n)
{
	qsort(d, n, sizeof(*d), compare);
}

void measure_loop(const char *name, long n, void (*body)(long))
{
	double d[BATCHES];
	char min[80];

	body(n / 10 + 1);
	for (int i = 0; i < BATCHES; i++) {
		u64 t = rdtsc();

		body(n);
		d[i] = measure_ns((double)(rdtsc() - t)) / (double)n;
	}
	measure_sort(d, BATCHES);
	measure_value(name, d[BATCHES / 2], "ns");
	snprintf(min, sizeof(min), "%s_min", name);
	measure_value(min, d[0], "ns");
}

void measure_pin(int cpu)
{
	cpu_set_t s;

	CPU_ZERO(&s);
	CPU_SET(cpu, &s);
	sched_setaffinity(0, sizeof(s), &s);
}

void file_line(const char *path, char *buf, size_t n)
{
	int fd = open(path, O_RDONLY);
	ssize_t r = fd < 0 ? -1 : read(fd, buf, n - 1);

	buf[r > 0 ? r : 0] = 0;
	if (fd >= 0)
		close(fd);
	buf[strcspn(buf, "\n")] = 0;
}
