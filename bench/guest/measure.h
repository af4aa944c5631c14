// SPDX-License-Identifier: MIT
// What every benchmark of the guest uses: clocks, iteration counts, and the lines that carry the results.
#pragma once

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

typedef uint64_t u64;
typedef uint32_t u32;

#define BATCHES 9 // a value is the median of so many

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	__asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (u64)hi << 32 | lo;
}

static inline u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
}

// Put before the name of every value ("hostref_" when the host side measures itself), and per cent of the
// default iteration counts.
void measure_setup(const char *prefix, int scale);
long measure_scaled(long n);

// Finds the TSC's frequency by spinning for 0.1 s; measure_ns needs it.
void measure_calibrate(void);
double measure_ns(double ticks);

// "BENCH name value unit" and "INFO text" on standard output, at once.
void measure_value(const char *name, double value, const char *unit);
__attribute__((format(printf, 1, 2))) void measure_info(const char *fmt, ...);

// Runs body(n) once to warm up, then BATCHES times: median and minimum (NAME_min) per iteration, ns.
void measure_loop(const char *name, long n, void (*body)(long));
void measure_sort(double *d, size_t n);

void measure_pin(int cpu);

// The first line of a file without its newline; empty when there is no such file.
void file_line(const char *path, char *buf, size_t n);
