// SPDX-License-Identifier: MIT
// The core used by several CPUs at once: threads that play CPUs, with locks checked for their order.
// link: kernel/core/frame.c kernel/core/timer.c kernel/core/sched.c kernel/core/sched_fair.c
// link: kernel/core/lockcheck.c tests/unit/fake/arch.c -DDEBUG -pthread
#include <pthread.h>
#include "tests/unit/test.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/sched.h"
#include "kernel/core/timer.h"

#define CPUS 4

static u64 seeds[CPUS];
static u64 failures; // found by threads
static u64 stop;

#define EXPECT(cond)                                                                               \
	do {                                                                                       \
		if (!(cond) && atomic_add(&failures, 1) < 5)                                       \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                 \
	} while (0)

static u64 rng(void)
{
	u64 *s = &seeds[fake_cpu->id];

	*s = *s * 6364136223846793005ull + 1442695040888963407ull;
	return *s >> 33;
}

static void (*cpu_main)(void);

static void *thread_main(void *arg)
{
	fake_cpu = arg;
	seeds[fake_cpu->id] = fake_cpu->id * 12345 + 1;
	cpu_main();
	return NULL;
}

static void run_cpus(void (*fn)(void))
{
	pthread_t threads[CPUS];

	cpu_main = fn;
	for (unsigned i = 0; i < CPUS; i++)
		pthread_create(&threads[i], NULL, thread_main, pcpus[i]);
	for (unsigned i = 0; i < CPUS; i++)
		pthread_join(threads[i], NULL);
	fake_cpu = pcpus[0];
	CHECK_EQ(failures, 0);
	failures = 0;
}

// Frames: nobody else writes to what one has, all is zero, the counts come out even.
#define RAM (16 * MiB)

static bool all_bytes(const u8 *p, u8 byte, size_t n)
{
	return p[0] == byte && !memcmp(p, p + 1, n - 1);
}

static void frame_user(void)
{
	enum { SLOTS = 60 };
	struct {
		hpa_t a;
		size_t size;
	} slot[SLOTS];
	u16 owner = (u16)(fake_cpu->id + 1);

	memset(slot, 0xff, sizeof(slot));
	for (unsigned step = 0; step < 4000; step++) {
		unsigned i = (unsigned)rng() % SLOTS;
		enum frame_order order = rng() % 16 ? ORDER_4K : ORDER_2M;

		if (!hpa_is_none(slot[i].a)) {
			EXPECT(all_bytes(hpa_to_va(slot[i].a), (u8)owner, slot[i].size));
			EXPECT(frame_owner_of(slot[i].a) == owner);
			frame_free(slot[i].a, slot[i].size == PAGE_SIZE ? ORDER_4K : ORDER_2M);
			slot[i].a = HPA_NONE;
			continue;
		}
		slot[i].size = PAGE_SIZE << order;
		slot[i].a = frame_alloc(owner, FRAME_GUEST, order);
		if (!hpa_is_none(slot[i].a)) {
			EXPECT(all_bytes(hpa_to_va(slot[i].a), 0, slot[i].size));
			memset(hpa_to_va(slot[i].a), owner, slot[i].size);
		}
		if (rng() % 4 == 0)
			frame_scrub_slice();
	}
	for (unsigned i = 0; i < SLOTS; i++)
		if (!hpa_is_none(slot[i].a))
			frame_free(slot[i].a, slot[i].size == PAGE_SIZE ? ORDER_4K : ORDER_2M);
	EXPECT(frame_owned(owner) == 0);
}

TEST(frames)
{
	void *pool;

	fake_reset(CPUS);
	fake_ram(RAM);
	pool = malloc(frame_bookkeeping_size(hpa(RAM)));
	frame_init(hpa(RAM), pool);
	frame_add_range(hpa(0), hpa(RAM));
	run_cpus(frame_user);
	CHECK_EQ(frame_free_count(), RAM / PAGE_SIZE);
	while (frame_scrub_slice())
		;
	CHECK_EQ(frame_clean_count(), RAM / PAGE_SIZE);
	free(pool);
}

// Timers: never fire on two CPUs at once, nor after a synchronous cancel.
#define TIMERS 6

static struct owned_timer {
	struct timer t;
	u64 owner; // lock: who sets and cancels
	u64 firing;
	u64 dead; // cancelled for good: must not fire
	u64 fired;
} timers[TIMERS];

static void on_fire(struct timer *t)
{
	struct owned_timer *o = container_of(t, struct owned_timer, t);

	EXPECT(atomic_exchange(&o->firing, 1) == 0);
	EXPECT(!atomic_load(&o->dead));
	atomic_add(&o->fired, 1);
	for (u64 n = rng() % 4; n; n--)
		cpu_relax();
	atomic_store(&o->firing, 0);
}

static void timer_user(void)
{
	for (unsigned step = 0; step < 20000; step++) {
		struct owned_timer *o = &timers[rng() % TIMERS];

		atomic_add(&fake_now, 1);
		if (!atomic_exchange(&o->owner, 1)) {
			if (rng() % 8 == 0) {
				timer_cancel_sync(&o->t);
				atomic_store(&o->dead, 1);
				EXPECT(!atomic_load(&o->firing));
				cpu_relax();
				EXPECT(!atomic_load(&o->firing) && !timer_is_set(&o->t));
				atomic_store(&o->dead, 0);
			} else if (rng() % 8 == 0) {
				timer_cancel(&o->t);
			} else {
				timer_set(&o->t, time_now() + rng() % 3);
			}
			atomic_store(&o->owner, 0);
		}
		timer_run(TIMER_NEVER);
	}
}

TEST(timers_on_all_cpus)
{
	u64 fired = 0;

	fake_reset(CPUS);
	for (unsigned i = 0; i < CPUS; i++)
		timer_init_pcpu(pcpus[i]);
	for (unsigned i = 0; i < TIMERS; i++)
		timer_init(&timers[i].t, on_fire);
	run_cpus(timer_user);
	fake_now += 100;
	for (unsigned i = 0; i < CPUS; i++) {
		fake_cpu = pcpus[i];
		timer_run(TIMER_NEVER);
		CHECK(list_empty(&pcpus[i]->timers));
	}
	for (unsigned i = 0; i < TIMERS; i++)
		fired += timers[i].fired;
	CHECK(fired > 1000);
}

// The scheduler: no vcpu on two CPUs, no wake lost.
#define VMS   5
#define VCPUS 3

static struct sched_vm vms[VMS];
static struct test_vcpu {
	struct sched_vcpu s;
	u64 on_cpu;
	u64 events; // posted and not yet taken
	u64 posted, taken;
	u64 waking; // calls of sched_wake under way
} vcpus[VMS * VCPUS];

static void post_event(struct test_vcpu *v)
{
	atomic_add(&v->waking, 1);
	atomic_add(&v->posted, 1);
	atomic_add(&v->events, 1);
	sched_wake(&v->s);
	atomic_sub(&v->waking, 1);
}

// When nobody posts meanwhile, a vcpu with an event does not sleep.
static void check_wakes(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(vcpus); i++) {
		struct test_vcpu *v = &vcpus[i];
		u64 posted = atomic_load(&v->posted), taken = atomic_load(&v->taken);
		bool quiet = atomic_load(&v->waking) == 0 && posted != taken;
		bool asleep =
			quiet && READ_ONCE(v->s.state) == SCHED_BLOCKED && atomic_load(&v->events);

		EXPECT(!asleep || atomic_load(&v->posted) != posted ||
			atomic_load(&v->taken) != taken);
	}
}

// What a vcpu does in its turn: takes its events, wakes others, sleeps when there is nothing to do.
static void run_vcpu(struct test_vcpu *v)
{
	EXPECT(atomic_exchange(&v->on_cpu, 1) == 0);
	for (unsigned n = 0; n < 20 && !atomic_load(&fake_cpu->work); n++) {
		atomic_add(&v->taken, atomic_exchange(&v->events, 0));
		atomic_add(&fake_now, 20000);
		if (!atomic_load(&stop) && rng() % 4)
			post_event(&vcpus[rng() % ARRAY_SIZE(vcpus)]);
		if (rng() % 2 && !atomic_load(&v->events)) {
			atomic_store(&v->on_cpu, 0);
			if (rng() % 4 == 0)
				cpu_relax(); // others wake it just now
			if (sched_block(&v->s))
				return;
			EXPECT(atomic_exchange(&v->on_cpu, 1) == 0);
		}
	}
	atomic_store(&v->on_cpu, 0);
}

static void sched_user(void)
{
	unsigned idle = 0;

	for (unsigned step = 0; step < 6000 || idle < 200; step++) {
		struct sched_vcpu *s;
		u64 until;

		if (step >= 6000)
			atomic_store(&stop, 1);
		atomic_exchange(&fake_cpu->work, 0);
		s = sched_next(time_now(), &until);
		idle = s ? 0 : idle + 1;
		if (s)
			run_vcpu(container_of(s, struct test_vcpu, s));
		else
			check_wakes();
		atomic_add(&fake_now, 5000);
		if (!s && !atomic_load(&stop))
			post_event(&vcpus[rng() % ARRAY_SIZE(vcpus)]);
	}
}

TEST(scheduler_on_all_cpus)
{
	u64 until, posted = 0;

	fake_reset(CPUS);
	sched_init();
	for (unsigned i = 0; i < VMS; i++)
		sched_vm_init(&vms[i], 100 + 100 * i, i == 3 ? 30 : 0, i == 4 ? 5 : 0);
	for (unsigned i = 0; i < ARRAY_SIZE(vcpus); i++)
		sched_vcpu_init(&vcpus[i].s, &vms[i % VMS]);
	run_cpus(sched_user);
	for (unsigned i = 0; i < 100000; i++) { // a capped VM may still have something to take
		fake_cpu = pcpus[i % CPUS];
		fake_now += 100000;
		fake_cpu->work = 0;
		struct sched_vcpu *s = sched_next(fake_now, &until);
		if (s)
			run_vcpu(container_of(s, struct test_vcpu, s));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(vcpus); i++) {
		CHECK_EQ(vcpus[i].s.state, SCHED_BLOCKED);
		CHECK_EQ(vcpus[i].events, 0);
		CHECK_EQ(vcpus[i].posted, vcpus[i].taken);
		posted += vcpus[i].posted;
	}
	CHECK(posted > 1000);
	CHECK_EQ(failures, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(vcpus); i++)
		sched_vcpu_exit(&vcpus[i].s);
	for (unsigned i = 0; i < VMS; i++)
		CHECK(!vms[i].active && list_empty(&vms[i].link));
}

TEST_MAIN()
