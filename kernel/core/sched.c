// SPDX-License-Identifier: MIT
// The scheduler: the run queue and who gets which CPU. The arithmetic of shares is in sched_fair.c.
//
// There is one queue for all CPUs: VMs with something ready, by virtual time, each with its ready vcpus. The least
// virtual time runs first. A CPU that runs a vcpu while nobody waits has no end of its turn (`endless`); when
// somebody begins to wait, the CPU whose vcpu is least entitled is told to look again.
#include "kernel/core/sched.h"
#include "kernel/core/log.h"
#include "kernel/core/sched_fair.h"
#include "kernel/core/timer.h"

#define LOOK_AHEAD 4 // VMs or vcpus looked at for one that ran here last

static struct spinlock lock;
static struct list queue;  // VMs with ready vcpus, by vtime
static struct list parked; // VMs with ready vcpus whose cap is used up, by the end of their period
static struct pcpu *unparker; // wakes up for the first of `parked`
static u64 idle;              // CPUs that have nothing to run and have not been told to look
static u64 endless;           // CPUs whose turn has no end
static u64 coming;            // CPUs that were idle, were told to look, and have not yet
static u64 asked;             // CPUs that were told to look because of a preemption
u64 sched_barred;

void sched_init(void)
{
	lock = SPINLOCK(LOCK_SCHED);
	list_init(&queue);
	list_init(&parked);
	unparker = NULL;
	idle = endless = coming = asked = 0;
	fair_init();
}

static u64 all_cpus(void)
{
	return (pcpu_count >= 64 ? ~0ull : BIT(pcpu_count) - 1) & ~sched_barred;
}

void sched_vm_init(struct sched_vm *vm, u32 weight, u32 cap, u64 affinity)
{
	u64 all = all_cpus();

	*vm = (struct sched_vm){
		.weight = weight, .cap = cap, .affinity = affinity & all ? affinity & all : all};
	list_init(&vm->link);
	list_init(&vm->ready);
	spin_lock(&lock);
	fair_vm_init(vm);
	spin_unlock(&lock);
}

void sched_vcpu_init(struct sched_vcpu *v, struct sched_vm *vm)
{
	*v = (struct sched_vcpu){.vm = vm, .state = SCHED_BLOCKED};
	list_init(&v->link);
}

static void enqueue(struct sched_vm *vm)
{
	struct list *at = queue.prev;

	while (at != &queue &&
		fair_diff(list_entry(at, struct sched_vm, link)->vtime, vm->vtime) > 0)
		at = at->prev;
	list_push_front(at, &vm->link);
}

static void park(struct sched_vm *vm)
{
	struct list *at = parked.prev;

	while (at != &parked && fair_diff(fair_period_end(list_entry(at, struct sched_vm, link)),
					fair_period_end(vm)) > 0)
		at = at->prev;
	list_push_front(at, &vm->link);
	if (parked.next == &vm->link)
		unparker = this_pcpu();
}

// Outside of sched_next: if this CPU became the unparker, it has to look when its turn ends.
static void take_duty(void)
{
	if (unparker == this_pcpu())
		pcpu_post(unparker, WORK_RESCHED);
}

// Puts the VM where it belongs after its ready vcpus, its virtual time or its cap changed.
static void place(struct sched_vm *vm, u64 now)
{
	list_remove(&vm->link);
	vm->parked = vm->ready_count && fair_over_cap(vm, now);
	fair_update(vm, now); // may move its virtual time
	if (vm->parked)
		park(vm);
	else if (vm->ready_count)
		enqueue(vm);
}

static void make_ready(struct sched_vcpu *v, u64 now)
{
	v->state = SCHED_READY;
	v->told = NULL;
	v->ready_since = now;
	v->vm->ready_count++;
	list_push_back(&v->vm->ready, &v->link);
	place(v->vm, now);
}

static bool may_run(const struct sched_vm *vm, const struct pcpu *p)
{
	return vm->affinity >> p->id & 1;
}

// An idle CPU that was told to take the vcpu, and has not looked yet, is about to have it.
static bool spoken_for(const struct sched_vcpu *v, const struct pcpu *p)
{
	return v->told && v->told != p && coming >> v->told->id & 1;
}

// The VM's ready vcpu to run here: the first, or one of the next that came nearly as early and ran here last. NULL: other
// CPUs are about to take them.
static struct sched_vcpu *choose_vcpu(const struct sched_vm *vm, const struct pcpu *p)
{
	struct sched_vcpu *first = NULL;
	unsigned looked = 0;

	list_for_each(link, &vm->ready)
	{
		struct sched_vcpu *v = list_entry(link, struct sched_vcpu, link);

		if (spoken_for(v, p))
			continue;
		if (!first)
			first = v;
		if (v->pcpu == p &&
			fair_elapsed(first->ready_since, v->ready_since) <= fair.slice / 2)
			return v;
		if (++looked == LOOK_AHEAD)
			break;
	}
	return first;
}

// What the first VM in the queue that is not `but` has to run here.
static struct sched_vcpu *first_here(const struct pcpu *p, const struct sched_vm *but)
{
	list_for_each(link, &queue)
	{
		struct sched_vm *vm = list_entry(link, struct sched_vm, link);
		struct sched_vcpu *v = vm != but && may_run(vm, p) ? choose_vcpu(vm, p) : NULL;

		if (v)
			return v;
	}
	return NULL;
}

// Of the CPUs in the mask the one whose vcpu is ahead most; NULL: none of them runs anything.
static struct pcpu *least_entitled(u64 mask, u64 now, u64 *vtime)
{
	struct pcpu *worst = NULL;

	for (; mask; mask &= mask - 1) {
		struct pcpu *p = pcpus[__builtin_ctzll(mask)];
		u64 t;

		if (!p->running)
			continue;
		t = fair_vtime_now(p->running, now);
		if (!worst || fair_diff(t, *vtime) > 0) {
			worst = p;
			*vtime = t;
		}
	}
	return worst;
}

static bool tell_idle(struct sched_vcpu *v)
{
	u64 mask = v->vm->affinity & idle;
	struct pcpu *p = this_pcpu();

	if (!mask)
		return false;
	if (v->pcpu && mask >> v->pcpu->id & 1)
		p = v->pcpu;
	else if (!(mask >> p->id & 1))
		p = pcpus[__builtin_ctzll(mask)];
	idle &= ~BIT(p->id);
	coming |= BIT(p->id);
	v->told = p;
	pcpu_post(p, WORK_RESCHED);
	return true;
}

// A vcpu waits: sees to it that a CPU looks which should run it now, or else that the turn of one has an end.
static void tell(struct sched_vcpu *v, u64 now)
{
	const struct sched_vm *vm = v->vm;
	struct pcpu *p;
	u64 t;

	if (tell_idle(v))
		return;
	p = least_entitled(vm->affinity & ~asked, now, &t);
	if (!p)
		return;
	if (p->running->vm != vm &&
		fair_diff(t, vm->vtime) > (s64)fair_virtual(vm, fair.granularity))
		asked |= BIT(p->id);
	else if (!(endless >> p->id & 1))
		return;
	pcpu_post(p, WORK_RESCHED);
}

void sched_wake(struct sched_vcpu *v)
{
	spin_lock(&lock);
	if (v->state == SCHED_RUNNING) {
		v->wake_pending = true;
	} else if (v->state == SCHED_BLOCKED) {
		u64 now = time_now();

		v->woken = true;
		make_ready(v, now);
		if (!v->vm->parked)
			tell(v, now);
		else
			take_duty();
	}
	spin_unlock(&lock);
}

static enum fair_rivals rivals(const struct sched_vm *vm, const struct pcpu *p)
{
	const struct sched_vcpu *first = first_here(p, NULL);

	if (!first)
		return FAIR_NOBODY;
	// A VM that may run everywhere competes with all the others, those that run now included.
	return first->vm != vm || vm->affinity == all_cpus() || first_here(p, vm) ? FAIR_OTHERS
										  : FAIR_ITSELF;
}

// The running vcpu leaves its CPU; its time is booked.
static void leave(struct sched_vcpu *v, struct pcpu *p, enum sched_state state, u64 now)
{
	struct sched_vm *vm = v->vm;
	bool last = state != SCHED_READY && vm->running == 1 && !vm->ready_count;

	p->running = NULL;
	endless &= ~BIT(p->id);
	v->woken = false;
	if (last && list_empty(&queue)) { // the short way of a vcpu that halts while nobody waits
		v->state = state;
		vm->running = 0;
		fair_sleep(v, now);
		return;
	}
	fair_settle(v, rivals(vm, p));
	vm->running--;
	if (state == SCHED_READY) {
		make_ready(v, now);
	} else {
		v->state = state;
		place(vm, now);
	}
}

bool sched_block(struct sched_vcpu *v)
{
	struct pcpu *p = this_pcpu();
	u64 now = time_now();

	spin_lock(&lock);
	ASSERT(p->running == v && v->state == SCHED_RUNNING);
	if (v->wake_pending) {
		v->wake_pending = false;
		spin_unlock(&lock);
		return false;
	}
	fair_account(v, now);
	leave(v, p, v->exiting ? SCHED_OFF : SCHED_BLOCKED, now);
	if (list_empty(&queue))
		idle |= BIT(p->id); // as sched_next will find
	spin_unlock(&lock);
	return true;
}

void sched_vcpu_exit(struct sched_vcpu *v)
{
	spin_lock(&lock);
	v->exiting = true;
	if (v->state == SCHED_RUNNING) {
		pcpu_post(v->pcpu, WORK_RESCHED);
	} else if (v->state == SCHED_READY) {
		list_remove(&v->link);
		v->vm->ready_count--;
		v->state = SCHED_OFF;
		place(v->vm, time_now());
		if (v->vm->parked)
			take_duty();
	} else {
		v->state = SCHED_OFF;
	}
	spin_unlock(&lock);
}

bool sched_is_off(const struct sched_vcpu *v)
{
	return __atomic_load_n(&v->state, __ATOMIC_ACQUIRE) == SCHED_OFF;
}

// VMs whose new period has begun come back.
static void unpark(u64 now)
{
	struct sched_vm *vm;

	while ((vm = list_first(&parked, struct sched_vm, link)) &&
		fair_diff(now, fair_period_end(vm)) >= 0) {
		place(vm, now);
		if (vm->parked)
			continue; // still in debt: further behind now
		list_for_each(link, &vm->ready)
			tell(list_entry(link, struct sched_vcpu, link), now);
	}
}

// What this CPU should run: of the VM with the least virtual time, or of one within a slice of it when that avoids a
// migration. A woken vcpu is not passed over. `last` had its turn just now.
static struct sched_vcpu *choose(const struct pcpu *p, const struct sched_vcpu *last)
{
	struct sched_vcpu *best = first_here(p, NULL);
	const struct sched_vm *head;
	unsigned looked = 0;

	if (!best || best->pcpu == p || best->woken || !best->pcpu)
		return best;
	head = best->vm;
	for (struct list *link = head->link.next; link != &queue && looked++ < LOOK_AHEAD;
		link = link->next) {
		struct sched_vm *vm = list_entry(link, struct sched_vm, link);
		struct sched_vcpu *v;

		if (fair_diff(vm->vtime, head->vtime) > (s64)fair_virtual(vm, fair.slice))
			break;
		v = may_run(vm, p) ? choose_vcpu(vm, p) : NULL;
		if (v && v->pcpu == p && v != last)
			return v;
	}
	return best;
}

static void start(struct sched_vcpu *v, struct pcpu *p, u64 now)
{
	list_remove(&v->link);
	v->state = SCHED_RUNNING;
	v->waited += fair_elapsed(v->ready_since, now);
	v->since = v->turn = now;
	v->charged = 0;
	v->endless = false;
	v->pcpu = p;
	p->running = v;
	v->vm->ready_count--;
	v->vm->running++;
	if (!v->vm->ready_count)
		list_remove(&v->vm->link);
}

// True when the running vcpu, whose time is booked, has to make room for what waits here.
static bool turn_is_over(
	struct sched_vcpu *v, struct pcpu *p, const struct sched_vcpu *waiter, u64 now)
{
	const struct sched_vm *head = waiter->vm;
	s64 ahead = fair_diff(v->vm->vtime, head->vtime);

	if (endless >> p->id & 1) { // they began to wait just now: the turn gets an end
		endless &= ~BIT(p->id);
		v->endless = false;
		v->turn = now;
		v->charged = 0;
	}
	if (now - v->turn >= fair.slice)
		return true;
	return head != v->vm &&
	       ahead > (s64)fair_virtual(head, waiter->woken ? fair.granularity : fair.slice);
}

// The running vcpu's time is booked; takes it off the CPU when it has to go. Returns what stays.
static struct sched_vcpu *keep_or_stop(struct sched_vcpu *v, struct pcpu *p, u64 now)
{
	const struct sched_vcpu *waiter;
	struct sched_vm *vm = v->vm;

	if (v->exiting) {
		leave(v, p, SCHED_OFF, now);
		return NULL;
	}
	if (vm->ready_count)
		place(vm, now); // its virtual time has moved
	if (fair_over_cap(vm, now)) {
		leave(v, p, SCHED_READY, now);
		return NULL;
	}
	waiter = first_here(p, NULL);
	if (!waiter || !turn_is_over(v, p, waiter, now))
		return v;
	leave(v, p, SCHED_READY, now);
	return NULL;
}

// When somebody waits and could run on a CPU whose turn has no end, although he is more entitled: that CPU shall look.
static void tell_endless(u64 now)
{
	struct sched_vm *head = list_first(&queue, struct sched_vm, link);
	struct pcpu *p;
	u64 t;

	if (!head)
		return;
	p = least_entitled(endless & head->affinity & ~BIT(this_pcpu()->id), now, &t);
	if (p && fair_diff(t, head->vtime) > 0)
		pcpu_post(p, WORK_RESCHED);
}

static void set_endless(struct sched_vcpu *v, const struct pcpu *p)
{
	endless |= BIT(p->id);
	v->endless = true;
}

// When this CPU has to look again.
static u64 turn_end(struct sched_vcpu *v, struct pcpu *p, u64 now)
{
	struct sched_vm *first = list_first(&parked, struct sched_vm, link);
	u64 until = TIMER_NEVER;

	if (v && first_here(p, NULL))
		until = v->turn + fair.slice;
	else if (v)
		set_endless(v, p);
	if (v && v->vm->cap)
		until = MIN(until, now + fair_cap_left(v->vm) / v->vm->running + 1);
	if (first && unparker == p)
		until = MIN(until, fair_period_end(first));
	return until;
}

// Nobody waits for anything, so there is nothing to decide.
static bool goes_on(const struct sched_vcpu *v)
{
	return list_empty(&queue) && list_empty(&parked) && !v->exiting && !v->vm->cap;
}

struct sched_vcpu *sched_next(u64 now, u64 *until)
{
	struct pcpu *p = this_pcpu();
	struct sched_vcpu *was = p->running, *v = NULL;

	spin_lock(&lock);
	asked &= ~BIT(p->id);
	coming &= ~BIT(p->id);
	idle &= ~BIT(p->id);
	if (was &&
		goes_on(was)) { // the short way of a vcpu that left its guest for some other work
		set_endless(was, p);
		*until = TIMER_NEVER;
		spin_unlock(&lock);
		return was;
	}
	if (!list_empty(&parked))
		unpark(now);
	if (was) {
		fair_account(was, now);
		v = keep_or_stop(was, p, now);
	}
	if (!v) {
		v = choose(p, was);
		if (v)
			start(v, p, now);
		else
			idle |= BIT(p->id);
		if (was && was != v && was->state == SCHED_READY && !was->vm->parked)
			tell_idle(was);
	}
	*until = turn_end(v, p, now);
	if (endless)
		tell_endless(now);
	spin_unlock(&lock);
	return v;
}

u64 sched_vcpu_used(const struct sched_vcpu *v, u64 now)
{
	u64 used, since;
	enum sched_state state;

	spin_lock(&lock);
	used = v->used;
	since = v->since;
	state = v->state;
	spin_unlock(&lock);
	return state == SCHED_RUNNING ? used + fair_elapsed(since, now) : used;
}
