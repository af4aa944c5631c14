// SPDX-License-Identifier: MIT
// The fake architecture: see arch.h here.
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernel/core/log.h"
#include "kernel/core/pcpu.h"

struct pcpu *pcpus[PCPU_MAX];
u32 pcpu_count;
_Thread_local struct pcpu *fake_cpu;
u64 fake_now, fake_arms, fake_zeroed;
u64 fake_kicks[64], fake_armed[64];
void (*fake_relax)(void);
void (*fake_idle)(void);
unsigned fake_log_lines;
bool fake_expect_panic;
jmp_buf fake_panic_jump;

static struct pcpu cpus[PCPU_MAX];
static u8 *ram;
static size_t ram_size;

struct pcpu *this_pcpu(void)
{
	return fake_cpu;
}
u64 time_now(void)
{
	return fake_now;
}

void cpu_relax(void)
{
	if (fake_relax)
		fake_relax();
	else
		sched_yield();
}

void *hpa_to_va(hpa_t a)
{
	if (a.v > ram_size)
		abort();
	return ram + a.v;
}

hpa_t va_to_hpa(const void *p)
{
	return hpa((u64)((const u8 *)p - ram));
}

void arch_zero(void *p, size_t n)
{
	if (n % 64 || (u64)p % 64)
		abort();
	memset(p, 0, n);
	__atomic_fetch_add(&fake_zeroed, n, __ATOMIC_RELAXED);
}

void arch_kick(struct pcpu *p)
{
	__atomic_fetch_add(&fake_kicks[p->id], 1, __ATOMIC_RELAXED);
}

void arch_timer_arm(u64 deadline)
{
	fake_armed[fake_cpu->id] = deadline;
	__atomic_fetch_add(&fake_arms, 1, __ATOMIC_RELAXED);
}

void arch_idle(void)
{
	if (fake_idle)
		fake_idle();
}

void arch_take_interrupts(void) {}

void fake_reset(u32 count)
{
	memset(cpus, 0, sizeof(cpus));
	memset(pcpus, 0, sizeof(pcpus));
	memset(fake_kicks, 0, sizeof(fake_kicks));
	memset(fake_armed, 0xff, sizeof(fake_armed));
	for (u32 i = 0; i < count; i++) {
		cpus[i].self = pcpus[i] = &cpus[i];
		cpus[i].id = i;
	}
	pcpu_count = count;
	fake_cpu = pcpus[0];
	fake_now = fake_arms = fake_zeroed = 0;
	fake_relax = fake_idle = NULL;
}

void *fake_ram(size_t size)
{
	free(ram);
	ram = aligned_alloc(2 * MiB, ALIGN_UP(size, 2 * MiB));
	if (!ram)
		abort();
	memset(ram, 0xa5, size);
	ram_size = size;
	return ram;
}

__attribute__((weak)) void log_line(const char *fmt, ...)
{
	(void)fmt;
	fake_log_lines++;
}

void panic(const char *fmt, ...)
{
	va_list args;

	if (fake_expect_panic)
		longjmp(fake_panic_jump, 1);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}
