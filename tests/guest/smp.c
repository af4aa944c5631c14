// SPDX-License-Identifier: MIT
// Several CPUs: all start, count, take turns by IPI, share memory, agree on the TSC, start again.
#include "guest.h"
#include "apic.h"
#include "irq.h"
#include "smp.h"

#define VEC    0x77
#define ROUNDS 2000

static u32 cpus;
static u64 shared, plain;
static volatile u32 lock;
static volatile u64 ids;
static volatile u64 last_tsc;
static volatile u32 backwards;

static void count(void *arg)
{
	(void)arg;
	__atomic_fetch_or(&ids, BIT(apic_id() & 63), __ATOMIC_RELAXED);
	for (u32 i = 0; i < ROUNDS; i++) {
		__atomic_fetch_add(&shared, 1, __ATOMIC_RELAXED);
		while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
			cpu_relax();
		plain++;
		if (rdtsc() < last_tsc)
			backwards++;
		last_tsc = rdtsc();
		__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
	}
}

static void test_memory(void)
{
	u32 seen = 0;

	smp_run_others(count, NULL);
	count(NULL);
	smp_wait();
	check(shared == (u64)cpus * ROUNDS, "atomic additions: %lu", shared);
	check(plain == (u64)cpus * ROUNDS, "additions under a lock: %lu", plain);
	for (u32 i = 0; i < 64; i++)
		seen += ids >> i & 1;
	check(seen == cpus, "APIC ids: 0x%lx", ids);
	check(!backwards, "the TSC never goes back from CPU to CPU (%u)", backwards);
}

static volatile u32 ball;

static void answer(void *arg)
{
	u64 rounds = (u64)arg;

	for (u64 i = 0; i < rounds; i++) {
		while (ball != 2 * i + 1)
			irq_wait();
		ball = (u32)(2 * i + 2);
		apic_ipi(cpu_at(0)->apic_id, APIC_ASSERT | VEC);
	}
}

static void test_pingpong(u32 with)
{
	u64 rounds = arg_number("rounds", 400 / cpus), end = deadline_ms(20000);
	u32 i = 0;

	ball = 0;
	smp_run(with, answer, (void *)rounds);
	for (; i < rounds; i++) {
		ball = 2 * i + 1;
		apic_ipi(cpu_at(with)->apic_id, APIC_ASSERT | VEC);
		while (ball != 2 * i + 2 && !deadline_past(end))
			irq_wait();
		if (ball != 2 * i + 2)
			break;
	}
	check(i == rounds, "CPU %u returned the ball %u times", with, i);
}

static void test_restart(u32 index)
{
	volatile u32 *started = &cpu_at(index)->started;
	u32 before = *started;

	smp_restart(index);
	check(wait_until(*started > before, 2000), "CPU %u starts again", index);
}

void guest_main(void)
{
	cpus = smp_start();
	check(cpus == smp_count(), "%u of %u CPUs run", cpus, smp_count());
	check(!arg_number("cpus", 0) || cpus == arg_number("cpus", 0), "as many as declared");
	irq_count(VEC);
	test_memory();
	for (u32 i = 1; i < cpus; i++)
		test_pingpong(i);
	for (u32 i = 1; i < cpus; i++)
		test_restart(i);
	shared = plain = 0;
	test_memory();
}
