// SPDX-License-Identifier: MIT
// Instructions that may exit, and timers.
#define _GNU_SOURCE
#include "measure.h"
#include "tests.h"
#include <stdlib.h>

static void b_cpuid(long n)
{
	for (long i = 0; i < n; i++) {
		u32 a = 0, b, c = 0, d;
		__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
	}
}

void exit_tests(void)
{
	measure_loop("exit_cpuid_user", measure_scaled(2000), b_cpuid);

	// The ring-0 part: a module that runs its tests when read.
	FILE *f = fopen("/proc/rigbench", "r");
	char name[64];
	double med, min;
	if (!f) {
		measure_info("no /proc/rigbench: ring-0 exit tests left out");
		return;
	}
	while (fscanf(f, "%63s %lf %lf", name, &med, &min) == 3) {
		char m[80];
		measure_value(name, measure_ns(med), "ns");
		snprintf(m, sizeof(m), "%s_min", name);
		measure_value(m, measure_ns(min), "ns");
	}
	fclose(f);
}

void timer_tests(void)
{
	int n = (int)measure_scaled(200);
	double *d = malloc((size_t)n * sizeof(*d));
	measure_pin(0);
	for (int i = 0; i < n; i++) {
		struct timespec ts = {0, 1000000};
		u64 a = now_ns();
		clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, 0);
		d[i] = (double)(now_ns() - a) - 1e6;
	}
	measure_sort(d, (size_t)n);
	measure_value("timer_late_p50", d[n / 2], "ns");
	measure_value("timer_late_p95", d[n * 95 / 100], "ns");
	measure_value("timer_late_max", d[n - 1], "ns");
	free(d);
}
