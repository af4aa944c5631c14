// SPDX-License-Identifier: MIT
// When to wait, and the wait.
#include "kernel/mono/guest_wait.h"

#include "kernel/core/model.h"
#include "kernel/core/sched.h"
#include "kernel/core/timer.h"
#include "kernel/vm/vm.h"

// For each CPU the disk or card that its vcpu, which has not been in the guest since, made a request to. The vcpu still
// belongs to the CPU, so neither its VM nor the device can go away.
static struct guest_wait *waits[PCPU_MAX];

static void watch(struct guest_wait *w, bool on)
{
	w->watching = on;
	host_rest_set(w->host, &w->rest, on);
	if (w->held)
		host_timer_cancel(&w->timer);
	w->held = false;
}

static void hold_off(struct guest_wait *w)
{
	w->hold = w->patience;
	w->patience = (u16)MIN(w->patience * 2u, GUEST_WAIT_PATIENCE_MAX);
}

// The guest is about to sleep while it is watched: it had nothing else to do.
static void rests(struct host_rest *r, unsigned vcpu)
{
	struct guest_wait *w = container_of(r, struct guest_wait, rest);
	bool held = w->held;

	(void)vcpu;
	w->trust = (u16)MIN(w->trust + 1u, GUEST_WAIT_TRUST);
	watch(w, false);
	if (held)
		w->tell(w);
}

// It had.
static void does_not_rest(struct host_timer *t)
{
	struct guest_wait *w = container_of(t, struct guest_wait, timer);

	w->held = false;
	w->trust = 0;
	hold_off(w);
	watch(w, false);
	w->tell(w);
}

bool guest_wait_hold(struct guest_wait *w)
{
	if (!w->watching || w->in_flight)
		return false;
	if (!w->held)
		host_timer_set(&w->timer, GUEST_WAIT_HOLD_NS);
	w->held = true;
	return true;
}

void guest_wait_stop(struct guest_wait *w)
{
	watch(w, false);
}

void guest_wait_init(struct guest_wait *w, struct vm *vm, struct host *host, u64 longest_ns,
	void (*tell)(struct guest_wait *))
{
	*w = (struct guest_wait){.vm = vm,
		.host = host,
		.tell = tell,
		.rest.fn = rests,
		.longest = longest_ns,
		.patience = GUEST_WAIT_PATIENCE_MIN};
	host_timer_init(host, &w->timer, does_not_rest);
}

void guest_wait_destroy(struct guest_wait *w)
{
	host_timer_destroy(&w->timer);
}

// A vcpu of the VM, which runs on this CPU and is about to enter the guest again, made the requests.
static bool made_here(const struct guest_wait *w)
{
	const struct vcpu *v = this_pcpu()->current;

	return w->begun && !w->telling && v && v->vm == w->vm && !v->halted;
}

// With others in flight a wait for one of them would keep the guest from what it could do.
void guest_wait_commit(struct guest_wait *w)
{
	struct pcpu *p = this_pcpu();
	bool made = made_here(w);

	w->begun = false;
	if (!made || w->held) // what is held is told within its time, however long this one takes
		return;
	if (w->watching || w->in_flight != 1) {
		watch(w, false); // several requests say nothing
		if (waits[p->id] == w)
			waits[p->id] = NULL;
		return;
	}
	if (w->hold) {
		w->hold--;
		return;
	}
	if (w->trust == GUEST_WAIT_TRUST && w->run) {
		w->run--;
		w->since = time_now();
		waits[p->id] = w;
		pcpu_post(p, WORK_MODEL);
		return;
	}
	if (w->trust == GUEST_WAIT_TRUST) {
		w->run = GUEST_WAIT_RUN;
		w->trust--;
	}
	watch(w, true);
}

// Bounds the waits of a CPU. It is left set for the next ones, as setting it costs more than an interrupt too many.
static struct timer bounds[PCPU_MAX];

static void bound_reached(struct timer *t)
{
	(void)t; // the wait ends because there was work
}

static void bound(struct timer *t, u64 now)
{
	if (!t->fn)
		timer_init(t, bound_reached);
	if (!timer_is_set(t) || t->deadline < now + time_from_ns(GUEST_WAIT_NS))
		timer_set(t, now + time_from_ns(2 * GUEST_WAIT_NS));
}

// Nobody else wants this CPU, or whoever does will make it work.
static struct vcpu *alone(const struct pcpu *p)
{
	struct sched_vcpu *v = READ_ONCE(p->running);

	return v && v->endless ? container_of(v, struct vcpu, sched) : NULL;
}

// As a vcpu about to enter the guest: whoever posts an event interrupts this CPU (run.c, enter).
static bool halt(struct vcpu *v, struct pcpu *p)
{
	bool on;

	atomic_store(&v->in_guest, 1);
	on = !READ_ONCE(v->events) && !READ_ONCE(p->work);
	if (on && model_idle())
		arch_take_interrupts();
	else if (on)
		arch_idle();
	v->in_guest = 0;
	return on;
}

// Timers alone do not end a wait.
static bool run_timers(struct pcpu *p)
{
	if (READ_ONCE(p->work) != WORK_TIMER)
		return false;
	atomic_and(&p->work, ~(u64)WORK_TIMER);
	timer_run(TIMER_NEVER);
	return true;
}

void guest_wait_work(void)
{
	struct pcpu *p = this_pcpu();
	struct guest_wait *w = waits[p->id];
	struct vcpu *v = alone(p);
	u64 longest;

	waits[p->id] = NULL;
	if (!w || !v)
		return;
	longest = time_from_ns(w->longest);
	bound(&bounds[p->id], time_now());
	p->current = v; // what comes here needs no interrupt of its own
	while (READ_ONCE(w->in_flight) && time_now() - w->since < longest &&
		(halt(v, p) || run_timers(p)))
		;
	p->current = NULL;
	if (!READ_ONCE(w->in_flight)) {
		w->patience = GUEST_WAIT_PATIENCE_MIN;
	} else if (time_now() - w->since >= longest) {
		hold_off(w);
	}
}
