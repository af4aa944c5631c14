// SPDX-License-Identifier: MIT
// What a physical CPU does for ever: its posted work, its timers, the vcpu that the scheduler
// gives, idleness.
#include "kernel/core/pcpu.h"
#include "kernel/core/console.h"
#include "kernel/core/frame.h"
#include "kernel/core/model.h"
#include "kernel/core/sched.h"
#include "kernel/core/timer.h"
#include "kernel/vm/vcpu.h"
#include "kernel/vm/vm_list.h"

static void do_work(u64 work)
{
	if (work & WORK_CONSOLE)
		console_input();
	if (work & WORK_VM_INPUT)
		vm_console_push_input();
	if (work & WORK_MODEL)
		model_work();
	if (work & WORK_REAP)
		vm_reap();
}

#define QUIET_NS 20000ull // a timer that is due so soon is waited for

// Scrubbing comes last, and frame by frame, so that a CPU with nothing to do is never far from its
// interrupts and the run queue.
static void idle(struct pcpu *p)
{
	while (!READ_ONCE(p->work)) {
		if (model_idle()) {
			arch_take_interrupts();
			continue;
		}
		if (p->timer_armed - time_now() <= time_from_ns(QUIET_NS) || !frame_scrub_slice()) {
			arch_idle();
			return;
		}
		arch_take_interrupts();
	}
}

// Timers before the choice of a vcpu, as they wake vcpus; a request to look at the run queue is met
// by looking at it.
static void take_work(struct pcpu *p)
{
	u64 work = atomic_exchange(&p->work, 0);

	if (work & WORK_TIMER)
		timer_expire();
	if (work & (WORK_CONSOLE | WORK_VM_INPUT | WORK_REAP | WORK_MODEL))
		do_work(work);
	if (READ_ONCE(p->work) & WORK_RESCHED)
		atomic_and(&p->work, ~(u64)WORK_RESCHED);
}

void pcpu_loop(void)
{
	struct pcpu *p = this_pcpu();

	for (;;) {
		struct sched_vcpu *s;
		u64 until;

		take_work(p);
		s = sched_next(time_now(), &until);
		vcpu_switch(s ? container_of(s, struct vcpu, sched) : NULL);
		timer_run(until);
		if (s)
			vcpu_run(container_of(s, struct vcpu, sched));
		else
			idle(p);
	}
}
