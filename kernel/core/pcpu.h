// SPDX-License-Identifier: MIT
// A physical CPU as the neutral code sees it.
//
// Every CPU runs pcpu_loop() on its one stack with interrupts off; interrupts are taken only in
// arch_idle() and at the exit from a guest (arch_take_interrupts), so a handler never meets a
// half-done piece of kernel work. A handler does no more than to set a bit in `work`.
#pragma once

#include "lib/atomic.h"
#include "lib/list.h"
#include "kernel/core/spinlock.h"

#define PCPU_MAX 64

enum pcpu_work {
	WORK_TIMER = 1 << 0,   // the timer went off: timer_run()
	WORK_RESCHED = 1 << 1, // look at the run queue
	WORK_KICK = 1 << 2,    // leave the guest once and look again
	WORK_CONSOLE =
		1 << 3,     // bytes have come on the serial line, or output is left to be written
	WORK_REAP = 1 << 4, // a VM has ended: vm_reap()
	WORK_VM_INPUT = 1 << 5, // a VM's console takes input again: vm_console_push_input()
	WORK_MODEL = 1 << 7,    // model_work()
	WORK_HALT = 1 << 6,     // another CPU panicked or powers off
};

struct vcpu;
struct sched_vcpu;

struct pcpu {
	struct pcpu *self; // first: this_pcpu() reads it
	u32 id;            // 0 .. pcpu_count-1
	u32 apic_id;
	u64 work; // set of enum pcpu_work; atomic

	struct sched_vcpu *running; // S: what the scheduler gave us; NULL: idle
	struct vcpu *loaded;  // own CPU: whose register state (FPU, debug, ...) is in the processor
	struct vcpu *current; // own CPU: whose run loop it is in

	struct spinlock timer_lock;
	struct list timers; // T: by deadline
	u64 timer_armed;    // own CPU: what the hardware timer is set to, ~0: nothing

	u64 idle_ticks; // own CPU: time spent in arch_idle
	u64 asleep;     // own CPU: since when it is there, 0: it is not
	u64 overslept; // CPU 0, on an emulator: since when it slept when it was found to sleep over something
	struct arch_pcpu *arch;
};

extern struct pcpu *pcpus[PCPU_MAX]; // filled by the architecture at start
extern u32 pcpu_count;

// Gives a CPU work; makes it leave its guest or its idle if it is another one. Any context.
static inline void pcpu_post(struct pcpu *p, enum pcpu_work work)
{
	u64 before = atomic_or(&p->work, (u64)work);

	if (p != this_pcpu() && !(before & (u64)work))
		arch_kick(p);
}

// Never returns: runs what the scheduler gives, idles when there is nothing.
_Noreturn void pcpu_loop(void);

/* What the architecture supplies in arch.h (kernel/x86/arch.h; tests/unit/fake/arch.h):
 *   struct pcpu *this_pcpu(void);
 *   void cpu_relax(void);
 *   u64 time_now(void);                     ticks of the TSC, the kernel's one clock
 *   void *hpa_to_va(hpa_t a);               the direct map of all RAM
 *   hpa_t va_to_hpa(const void *p);         of an address in the direct map
 *   void arch_zero(void *p, size_t n);      n a multiple of 64; fills with zero, past the cache where that is better
 *   void arch_kick(struct pcpu *p);         interrupts another CPU (an IPI that sets nothing itself)
 *   void arch_timer_arm(u64 deadline);      this CPU's timer, ticks; ~0 disarms; a past deadline fires at once;
 *                                           when it fires the handler sets WORK_TIMER and timer_armed = ~0
 *   void arch_idle(void);                   sleeps until an interrupt, unless `work` is already set; takes interrupts
 *   void arch_take_interrupts(void);        lets pending interrupts be handled now
 *   u64 time_to_ns(u64 ticks); u64 time_from_ns(u64 ns);
 */
