// SPDX-License-Identifier: MIT
// Tests of the scheduler: a simulation of CPUs and vcpus in a clock of nanoseconds.
// link: kernel/core/sched.c kernel/core/sched_fair.c tests/unit/fake/arch.c
#include "tests/unit/test.h"
#include "kernel/core/sched.h"
#include "kernel/core/timer.h"

#define MS        1000000ull
#define SEC       (1000 * MS)
#define REACTION  3000      // from posted work to sched_next
#define STALL     100000000 // how long a CPU may stand still, see stalls
#define NEVER     TIMER_NEVER
#define VMS_MAX   40
#define GRAIN     0.001 // CPUs: two turns in 10 s
#define VCPUS_MAX 16

struct sim_vcpu {
	struct sched_vcpu s;
	u64 run, sleep; // runs so long, then sleeps so long; run 0: spins
	u64 left;       // of its run
	u64 wake_at;
	u64 woken_at; // READY since
	u64 latency_max, latency_sum, wakes;
	struct pcpu *last;
	u64 migrations, turns;
};

struct sim_vm {
	struct sched_vm s;
	struct sim_vcpu v[VCPUS_MAX];
	unsigned count;
};

static struct sim_vm vms[VMS_MAX];
static unsigned vm_count;

static struct sim_cpu {
	u64 until;
	u64 started;
	u64 work_at; // when posted work is seen
	u64 stalled; // until then it sees nothing
} cpus[PCPU_MAX];

static u64 rng_state;
static bool stalls; // now and then a CPU stands still, as an emulated one does

static u64 rng(void)
{
	rng_state = rng_state * 6364136223846793005ull + 1442695040888963407ull;
	return rng_state >> 33;
}

static void sim_start(unsigned cpu_count)
{
	fake_reset(cpu_count);
	sched_init();
	memset(vms, 0, sizeof(vms));
	vm_count = 0;
	rng_state = 42;
	for (unsigned i = 0; i < cpu_count; i++)
		cpus[i] = (struct sim_cpu){NEVER, 0, 0, 0};
}

// A VM whose vcpus spin (run 0) or run and sleep. They are woken at once.
static struct sim_vm *add_vm(u32 weight, u32 cap, u64 affinity, unsigned count, u64 run, u64 sleep)
{
	struct sim_vm *vm = &vms[vm_count++];

	sched_vm_init(&vm->s, weight, cap, affinity);
	vm->count = count;
	for (unsigned i = 0; i < count; i++) {
		struct sim_vcpu *v = &vm->v[i];

		sched_vcpu_init(&v->s, &vm->s);
		v->run = v->left = run;
		v->sleep = sleep;
		v->wake_at = fake_now;
	}
	return vm;
}

static struct sim_vcpu *current(unsigned cpu)
{
	struct sched_vcpu *s = pcpus[cpu]->running;

	return s ? container_of(s, struct sim_vcpu, s) : NULL;
}

// Books what the CPU's vcpu has run since the last look.
static void progress(unsigned cpu)
{
	struct sim_vcpu *v = current(cpu);

	if (v && v->run) {
		u64 ran = fake_now - cpus[cpu].started;

		v->left -= MIN(ran, v->left);
	}
	cpus[cpu].started = fake_now;
}

static void note_start(struct sim_vcpu *v, struct pcpu *p)
{
	v->turns++;
	if (v->last && v->last != p)
		v->migrations++;
	v->last = p;
	if (v->woken_at != NEVER) {
		u64 latency = fake_now - v->woken_at;

		v->latency_max = MAX(v->latency_max, latency);
		v->latency_sum += latency;
		v->woken_at = NEVER;
	}
}

static void cpu_look(unsigned cpu)
{
	struct sched_vcpu *before = pcpus[cpu]->running, *s;

	fake_cpu = pcpus[cpu];
	progress(cpu);
	pcpus[cpu]->work = 0;
	cpus[cpu].work_at = NEVER;
	s = sched_next(fake_now, &cpus[cpu].until);
	cpus[cpu].stalled = stalls && rng() % 20 == 0 ? fake_now + rng() % STALL : 0;
	if (s != pcpus[cpu]->running)
		CHECK(!"sched_next returns what it says is running");
	if (s && s != before)
		note_start(container_of(s, struct sim_vcpu, s), pcpus[cpu]);
}

static void cpu_block(unsigned cpu)
{
	struct sim_vcpu *v = current(cpu);

	fake_cpu = pcpus[cpu];
	progress(cpu);
	v->left = v->run;
	v->wake_at = fake_now + v->sleep;
	if (sched_block(&v->s))
		cpu_look(cpu);
	else
		v->wake_at = NEVER;
}

// When the CPU has something to do next.
static u64 cpu_event(unsigned cpu)
{
	struct sim_vcpu *v = current(cpu);
	u64 t = cpus[cpu].until;

	if (pcpus[cpu]->work && cpus[cpu].work_at == NEVER)
		cpus[cpu].work_at = fake_now + REACTION;
	t = MIN(t, cpus[cpu].work_at);
	if (v && v->run)
		t = MIN(t, cpus[cpu].started + v->left);
	t = MAX(t, cpus[cpu].stalled);
	return MAX(t, fake_now);
}

static struct sim_vcpu *next_waker(u64 *t)
{
	struct sim_vcpu *best = NULL;

	for (unsigned i = 0; i < vm_count; i++) {
		for (unsigned j = 0; j < vms[i].count; j++) {
			struct sim_vcpu *v = &vms[i].v[j];

			if (v->wake_at < *t) {
				best = v;
				*t = v->wake_at;
			}
		}
	}
	return best;
}

static void wake(struct sim_vcpu *v)
{
	v->wake_at = NEVER;
	v->woken_at = fake_now;
	v->wakes++;
	fake_cpu = pcpus[rng() % pcpu_count]; // whoever's device or timer it is
	sched_wake(&v->s);
}

static void sim_run(u64 duration)
{
	u64 end = fake_now + duration;

	for (;;) {
		u64 t = end;
		unsigned cpu = PCPU_MAX;
		struct sim_vcpu *waker;

		for (unsigned i = 0; i < pcpu_count; i++) {
			u64 e = cpu_event(i);

			if (e < t) {
				t = e;
				cpu = i;
			}
		}
		waker = next_waker(&t);
		if (t >= end)
			break;
		fake_now = MAX(fake_now, t);
		if (waker)
			wake(waker);
		else if (current(cpu) && current(cpu)->run &&
			 cpus[cpu].started + current(cpu)->left <= fake_now)
			cpu_block(cpu);
		else
			cpu_look(cpu);
	}
	fake_now = end;
}

static u64 vm_used(const struct sim_vm *vm)
{
	u64 sum = 0;

	for (unsigned i = 0; i < vm->count; i++)
		sum += sched_vcpu_used(&vm->v[i].s, fake_now);
	return sum;
}

// Share of one CPU, in 1/1000, since used_before over the time.
static double share(const struct sim_vm *vm, u64 before, u64 time)
{
	return (double)(vm_used(vm) - before) / (double)time;
}

static void check_share(
	const struct sim_vm *vm, double expected, double tolerance, u64 before, u64 time)
{
	double s = share(vm, before, time);

	if (s < expected * (1 - tolerance) - GRAIN || s > expected * (1 + tolerance) + GRAIN) {
		fprintf(stderr, "VM %d (weight %u, %u vcpus) got %.4f CPUs, expected %.4f\n",
			(int)(vm - vms), vm->s.weight, vm->count, s, expected);
		test_failures++;
	}
}

// Runs 10 s and checks each VM's share of processor time.
static void check_shares(const double *expected, double tolerance)
{
	u64 before[VMS_MAX];

	sim_run(200 * MS); // start
	for (unsigned i = 0; i < vm_count; i++) {
		before[i] = vm_used(&vms[i]);
		for (unsigned j = 0; j < vms[i].count; j++)
			vms[i].v[j].latency_max = vms[i].v[j].latency_sum = vms[i].v[j].wakes = 0;
	}
	sim_run(10 * SEC);
	for (unsigned i = 0; i < vm_count; i++)
		check_share(&vms[i], expected[i], tolerance, before[i], 10 * SEC);
}

TEST(alone_has_no_timer)
{
	sim_start(2);
	add_vm(256, 0, 0, 1, 0, 0);
	sim_run(1 * SEC);
	CHECK_EQ(vm_used(&vms[0]), 1 * SEC - REACTION);
	CHECK_EQ(vms[0].v[0].turns, 1);
	CHECK(cpus[0].until == NEVER && cpus[1].until == NEVER);
	CHECK_EQ(vms[0].v[0].s.waited, REACTION);
}

TEST(equal_on_one_cpu)
{
	sim_start(1);
	add_vm(256, 0, 0, 1, 0, 0);
	add_vm(256, 0, 0, 1, 0, 0);
	add_vm(256, 0, 0, 1, 0, 0);
	check_shares((double[]){1.0 / 3, 1.0 / 3, 1.0 / 3}, 0.01);
}

TEST(weights_on_one_cpu)
{
	sim_start(1);
	add_vm(100, 0, 0, 1, 0, 0);
	add_vm(200, 0, 0, 1, 0, 0);
	add_vm(700, 0, 0, 2, 0, 0);
	check_shares((double[]){.1, .2, .7}, 0.03);
	sim_start(1);
	add_vm(1, 0, 0, 1, 0, 0);
	add_vm(50, 0, 0, 1, 0, 0);
	check_shares((double[]){1.0 / 51, 50.0 / 51}, 0.03);
}

// What a CPU did while it stood still is charged, so the others make up for it.
TEST(weights_on_cpus_that_stall)
{
	stalls = true;
	sim_start(1);
	add_vm(100, 0, 0, 1, 0, 0);
	add_vm(200, 0, 0, 1, 0, 0);
	add_vm(700, 0, 0, 1, 0, 0);
	check_shares((double[]){.1, .2, .7}, 0.05);
	sim_start(2);
	add_vm(100, 0, 0, 1, 0, 0);
	add_vm(200, 0, 0, 2, 0, 0);
	add_vm(300, 0, 0, 2, 0, 0);
	check_shares((double[]){1.0 / 3, 2.0 / 3, 1}, 0.05);
	stalls = false;
}

TEST(three_on_two_cpus)
{
	sim_start(2);
	for (unsigned i = 0; i < 3; i++)
		add_vm(256, 0, 0, 1, 0, 0);
	check_shares((double[]){2.0 / 3, 2.0 / 3, 2.0 / 3}, 0.03);
}

TEST(smp_vms)
{
	sim_start(2);
	add_vm(256, 0, 0, 2, 0, 0);
	add_vm(256, 0, 0, 2, 0, 0);
	add_vm(512, 0, 0, 4, 0, 0);
	check_shares((double[]){.5, .5, 1}, 0.03);
	sim_start(4);
	add_vm(256, 0, 0, 1, 0, 0);
	add_vm(256, 0, 0, 4, 0, 0);
	add_vm(256, 0, 0, 4, 0, 0);
	add_vm(256, 0, 0, 8, 0, 0);
	check_shares((double[]){1, 1, 1, 1}, 0.03);
}

TEST(vcpus_of_one_vm_are_equal)
{
	sim_start(2);
	add_vm(256, 0, 0, 3, 0, 0);
	add_vm(256, 0, 0, 1, 0, 0);
	sim_run(10 * SEC);
	for (unsigned i = 0; i < 3; i++) {
		double s = (double)sched_vcpu_used(&vms[0].v[i].s, fake_now) / (10.0 * SEC);

		CHECK(s > .31 && s < .36);
	}
}

TEST(infeasible_weight)
{
	sim_start(2); // worth 1.67 CPUs, can use one
	add_vm(10000, 0, 0, 1, 0, 0);
	add_vm(1000, 0, 0, 1, 0, 0);
	add_vm(1000, 0, 0, 1, 0, 0);
	check_shares((double[]){1, .5, .5}, 0.03);
	sim_start(2);
	add_vm(10000, 0, 0, 1, 0, 0);
	add_vm(1, 0, 0, 1, 0, 0);
	add_vm(3, 0, 0, 1, 0, 0);
	check_shares((double[]){1, .25, .75}, 0.03);
	sim_start(4); // several of them
	add_vm(10000, 0, 0, 1, 0, 0);
	add_vm(5000, 0, 0, 1, 0, 0);
	add_vm(100, 0, 0, 2, 0, 0);
	add_vm(200, 0, 0, 2, 0, 0);
	add_vm(300, 0, 0, 1, 0, 0);
	check_shares((double[]){1, 1, 1.0 / 3, 2.0 / 3, 1}, 0.03);
}

// After the infeasible one gets more vcpus to run it may not take what it "missed".
TEST(infeasible_saves_nothing_up)
{
	struct sim_vm *a, *b;
	u64 ua, ub;

	sim_start(2);
	a = add_vm(1000, 0, 0, 2, 0, 0);
	b = add_vm(1000, 0, 0, 2, 0, 0);
	a->v[1].wake_at = 20 * SEC; // until then one vcpu
	sim_run(20 * SEC);
	check_share(a, 1, 0.03, 0, 20 * SEC);
	ua = vm_used(a);
	ub = vm_used(b);
	sim_run(200 * MS);
	check_share(a, 1, 0.15, ua, 200 * MS);
	check_share(b, 1, 0.15, ub, 200 * MS);
}

// Time on a CPU that nobody else wanted is not held against the VM.
TEST(idle_time_costs_nothing)
{
	struct sim_vm *a, *b;

	sim_start(1);
	a = add_vm(100, 0, 0, 1, 0, 0);
	sim_run(20 * SEC);
	b = add_vm(100, 0, 0, 1, 0, 0);
	u64 ua = vm_used(a);
	sim_run(200 * MS);
	check_share(a, .5, 0.1, ua, 200 * MS);
	check_share(b, .5, 0.1, 0, 200 * MS);

	sim_start(2); // two that never compete, of very different weight, then a third
	a = add_vm(1, 0, 0, 1, 0, 0);
	add_vm(1000, 0, 0, 1, 0, 0);
	sim_run(20 * SEC);
	b = add_vm(1, 0, 0, 1, 0, 0);
	ua = vm_used(a);
	sim_run(200 * MS);
	check_share(a, .5, 0.2, ua, 200 * MS);
	check_share(b, .5, 0.2, 0, 200 * MS);
}

TEST(affinity)
{
	sim_start(2);
	add_vm(1, 0, 1, 1, 0, 0);
	add_vm(2, 0, 1, 1, 0, 0);
	add_vm(1, 0, 2, 1, 0, 0);
	check_shares((double[]){1.0 / 3, 2.0 / 3, 1}, 0.03);
	CHECK(vms[2].v[0].last == pcpus[1]);
	CHECK_EQ(vms[0].v[0].migrations + vms[1].v[0].migrations + vms[2].v[0].migrations, 0);
	sim_start(2); // one that sleeps often on the other CPU
	add_vm(1, 0, 1, 1, 0, 0);
	add_vm(2, 0, 1, 1, 0, 0);
	add_vm(500, 0, 2, 1, 100000, 10000);
	check_shares((double[]){1.0 / 3, 2.0 / 3, .88}, 0.06);
}

TEST(affinity_that_does_not_exist)
{
	sim_start(2);
	add_vm(1, 0, 0xf0, 2, 0, 0);
	sim_run(1 * SEC);
	check_share(&vms[0], 2, 0.01, 0, 1 * SEC);
}

TEST(caps)
{
	sim_start(2);
	add_vm(256, 50, 0, 1, 0, 0);
	add_vm(256, 25, 0, 2, 0, 0);
	check_shares((double[]){.5, .25}, 0.02);
	sim_start(2);
	add_vm(256, 150, 0, 4, 0, 0);
	check_shares((double[]){1.5}, 0.02);
	sim_start(2); // what it may not use the others get
	add_vm(256, 10, 0, 1, 0, 0);
	add_vm(256, 0, 0, 2, 0, 0);
	check_shares((double[]){.1, 1.9}, 0.03);
	sim_start(1); // a cap above the share changes nothing
	add_vm(100, 90, 0, 1, 0, 0);
	add_vm(100, 0, 0, 1, 0, 0);
	check_shares((double[]){.5, .5}, 0.03);
	sim_start(4);
	add_vm(256, 30, 0, 8, 0, 0);
	for (unsigned i = 0; i < 3; i++)
		add_vm(256, 0, 0, 4, 0, 0);
	check_shares((double[]){.3, 3.7 / 3, 3.7 / 3, 3.7 / 3}, 0.03);
}

TEST(capped_sleeper)
{
	sim_start(1);
	add_vm(256, 20, 0, 1, 300000, 300000);
	add_vm(256, 0, 0, 1, 0, 0);
	check_shares((double[]){.2, .8}, 0.03);
}

TEST(sleepers_get_what_they_want)
{
	sim_start(2); // 10 % and 30 % of a CPU, beside four that spin
	add_vm(256, 0, 0, 1, 100000, 900000);
	add_vm(256, 0, 0, 1, 600000, 1400000);
	for (unsigned i = 0; i < 4; i++)
		add_vm(256, 0, 0, 1, 0, 0);
	check_shares((double[]){.1, .3, .4, .4, .4, .4}, 0.05);
	// and soon: a turn of 5 ms is not waited for
	CHECK(vms[0].v[0].latency_max < 1 * MS);
	CHECK(vms[0].v[0].latency_sum / vms[0].v[0].wakes < 50000);
	CHECK(vms[1].v[0].latency_sum / vms[1].v[0].wakes < 200000);
}

// A VM that sleeps a moment again and again to look like a sleeper gets no more than its share.
TEST(gaming)
{
	static const u64 runs[] = {50000, 1 * MS, 4 * MS, 4990000, 20 * MS};

	for (unsigned i = 0; i < ARRAY_SIZE(runs); i++) {
		sim_start(1);
		add_vm(256, 0, 0, 1, runs[i], 1000);
		add_vm(256, 0, 0, 1, 0, 0);
		check_shares((double[]){.5, .5}, 0.03);
		sim_start(2);
		add_vm(256, 0, 0, 2, runs[i], 3000);
		add_vm(256, 0, 0, 2, 0, 0);
		check_shares((double[]){1, 1}, 0.03);
	}
}

TEST(many)
{
	double expected[32];
	double sum = 0;

	sim_start(4);
	for (unsigned i = 0; i < 32; i++) {
		add_vm(64 + 16 * i, 0, 0, 1 + i % 4, 0, 0);
		sum += 64 + 16 * i;
	}
	for (unsigned i = 0; i < 32; i++)
		expected[i] = 4 * (64 + 16 * i) / sum;
	check_shares(expected, 0.03);
	for (unsigned i = 0; i < 32; i++) // nobody waits for ever
		for (unsigned j = 0; j < vms[i].count; j++)
			CHECK(vms[i].v[j].turns > 20);
}

TEST(few_migrations)
{
	u64 migrations = 0, turns = 0;

	sim_start(4);
	for (unsigned i = 0; i < 4; i++)
		add_vm(256, 0, 0, 4, 0, 0);
	sim_run(10 * SEC);
	for (unsigned i = 0; i < 4; i++)
		for (unsigned j = 0; j < 4; j++) {
			migrations += vms[i].v[j].migrations;
			turns += vms[i].v[j].turns;
		}
	if (migrations * 4 > turns)
		fprintf(stderr, "%llu migrations in %llu turns\n", (unsigned long long)migrations,
			(unsigned long long)turns);
	CHECK(migrations * 4 <= turns);

	sim_start(4); // enough CPUs: a sleeper stays where it was
	for (unsigned i = 0; i < 4; i++)
		add_vm(256, 0, 0, 1, 200000 + 1000 * i, 50000);
	sim_run(1 * SEC);
	for (unsigned i = 0; i < 4; i++)
		CHECK(vms[i].v[0].migrations < 10);
}

TEST(random_mixes_leave_no_cpu_idle)
{
	for (unsigned round = 0; round < 20; round++) {
		u64 used = 0, seed;

		sim_start(4);
		rng_state = seed = round * 77 + 1;
		for (unsigned i = 0; i < 8; i++)
			add_vm((u32)(1 + rng() % 10000), 0, 0, (unsigned)(1 + rng() % 4),
				i < 4 ? 10000 + rng() % (3 * MS) : 0, 10000 + rng() % (3 * MS));
		sim_run(1 * SEC); // four VMs spin: there is always work
		for (unsigned i = 0; i < vm_count; i++)
			used += vm_used(&vms[i]);
		CHECK(used > 4 * SEC * 98 / 100);
	}
}

// What each VM is worth: by weight, but no more than its vcpus; the rest goes to the others by weight.
static void water_fill(double cpus_left, double *expected)
{
	bool full[VMS_MAX] = {false};

	for (bool again = true; again;) {
		double sum = 0;

		again = false;
		for (unsigned i = 0; i < vm_count; i++)
			sum += full[i] ? 0 : vms[i].s.weight;
		for (unsigned i = 0; i < vm_count && !again; i++) {
			if (full[i])
				continue;
			expected[i] = cpus_left * vms[i].s.weight / sum;
			if (expected[i] >= vms[i].count) {
				expected[i] = vms[i].count;
				cpus_left -= vms[i].count;
				full[i] = again = true;
			}
		}
	}
}

TEST(random_weights_and_vcpus)
{
	for (unsigned round = 0; round < 200; round++) {
		double expected[VMS_MAX];
		unsigned count, cpu_count, vcpus = 0;

		rng_state = round * 1000003 + 7;
		cpu_count = (unsigned)(1 + rng() % 6);
		count = (unsigned)(2 + rng() % 7);
		u64 seed = rng_state;
		sim_start(cpu_count);
		rng_state = seed;
		for (unsigned i = 0; i < count || vcpus <= cpu_count; i++) {
			unsigned n = (unsigned)(1 + rng() % 6);

			add_vm((u32)(100 + rng() % (round % 2 ? 400 : 4000)), 0, 0, n, 0, 0);
			vcpus += n;
		}
		water_fill(cpu_count, expected);
		int failures = test_failures;
		check_shares(expected, 0.03);
		if (test_failures != failures)
			fprintf(stderr, "round %u, %u CPUs\n", round, cpu_count);
	}
}

TEST(block_after_wake_does_not_sleep)
{
	struct sim_vm *vm;

	sim_start(1);
	vm = add_vm(256, 0, 0, 1, 0, 0);
	sim_run(1 * MS);
	CHECK_EQ(vm->v[0].s.state, SCHED_RUNNING);
	sched_wake(&vm->v[0].s);
	CHECK(!sched_block(&vm->v[0].s));
	CHECK(sched_block(&vm->v[0].s));
	CHECK_EQ(vm->v[0].s.state, SCHED_BLOCKED);
	cpu_look(0);
	CHECK(pcpus[0]->running == NULL);
	CHECK(cpus[0].until == NEVER);
}

TEST(exit_from_every_state)
{
	struct sim_vm *a, *b;

	sim_start(2);
	a = add_vm(256, 0, 1, 3, 0, 0);
	b = add_vm(256, 5, 1, 2, 0, 0);
	a->v[2].wake_at = NEVER; // stays blocked
	sim_run(103 * MS);
	CHECK_EQ(a->v[2].s.state, SCHED_BLOCKED);
	fake_cpu = pcpus[1];
	for (unsigned i = 0; i < 3; i++)
		sched_vcpu_exit(&a->v[i].s);
	sched_vcpu_exit(&b->v[0].s);
	sched_vcpu_exit(&b->v[1].s);
	cpu_look(0);
	for (unsigned i = 0; i < 3; i++)
		CHECK(sched_is_off(&a->v[i].s));
	CHECK(sched_is_off(&b->v[0].s) && sched_is_off(&b->v[1].s));
	CHECK(list_empty(&a->s.link) && list_empty(&b->s.link));
	CHECK(list_empty(&a->s.ready) && list_empty(&b->s.ready));
	CHECK(!a->s.active && !b->s.active);
	sched_wake(&a->v[0].s);
	CHECK(sched_is_off(&a->v[0].s));
	memset(a, 0x55, sizeof(*a));
	memset(b, 0x55, sizeof(*b));
	vm_count = 0;
	add_vm(256, 0, 0, 2, 0, 0);
	sim_run(1 * SEC);
	check_share(&vms[0], 2, 0.01, 0, 1 * SEC);
}

TEST(steal_time)
{
	sim_start(1);
	add_vm(256, 0, 0, 1, 0, 0);
	add_vm(256, 0, 0, 1, 0, 0);
	sim_run(2 * SEC);
	for (unsigned i = 0; i < 2; i++) {
		u64 waited = vms[i].v[0].s.waited;

		CHECK(waited > 950 * MS && waited < 1050 * MS);
	}
}

TEST_MAIN()
