// SPDX-License-Identifier: MIT
// Running a vcpu: its events, what is injected, and the loop of entries and exits.
#include "kernel/core/model.h"
#include "kernel/core/trace.h"
#include "kernel/vm/linear.h"
#include "kernel/x86/vcpu_state.h"

// A vcpu that waits for SIPI takes nothing else; INIT comes before SIPI when both are there.
COLD static void take_init(struct vcpu *v)
{
	atomic_and(&v->events, ~(u64)(VCPU_INIT | VCPU_NMI));
	hvm->vcpu_reset(v);
	vcpu_state_init(v);
	vlapic_reset(v, true);
	vpv_reset(v);
	v->halted = false;
	v->mode = VCPU_WAIT_SIPI;
	v->halted = false;
}

COLD static void take_sipi(struct vcpu *v)
{
	struct hvm_segment cs;

	atomic_and(&v->events, ~(u64)VCPU_SIPI);
	if (v->mode != VCPU_WAIT_SIPI)
		return;
	hvm->seg_get(v, SEG_CS, &cs);
	cs.selector = (u16)(v->sipi_vector << 8);
	cs.base = (u64)v->sipi_vector << 12;
	hvm->seg_set(v, SEG_CS, &cs);
	v->rip = 0;
	v->mode = VCPU_RUN;
}

COLD static void inject_nmi(struct vcpu *v)
{
	if (hvm->injecting(v) || !hvm->can_nmi(v)) {
		hvm->nmi_window(v, true);
		v->deferred = VCPU_NMI;
		return;
	}
	atomic_and(&v->events, ~(u64)VCPU_NMI);
	hvm->inject(v, EVENT_NMI, 2, false, 0);
}

// The next interrupt for the guest: from its APIC, or from the PIC through it; -1: none.
static int next_irq(struct vcpu *v, bool *from_pic)
{
	*from_pic = v->id == 0 && pc_extint_pending(v->vm) && vlapic_accepts_extint(v);
	return *from_pic ? 0 : vlapic_irq_pending(v);
}

static void inject_irq(struct vcpu *v)
{
	bool from_pic;
	int vector;

	// Cleared first: what is posted from now on sets it again.
	atomic_and(&v->events, ~(u64)VCPU_LAPIC);
	vector = next_irq(v, &from_pic);
	if (vector < 0) {
		hvm->irq_window(v, false);
		return;
	}
	if (hvm->injecting(v) || !hvm->can_irq(v)) {
		hvm->irq_window(v, true);
		return;
	}
	if (from_pic)
		vector = pc_extint_ack(v->vm);
	else
		vlapic_irq_accept(v, (u8)vector);
	if (vector >= 0) {
		hvm->inject(v, EVENT_IRQ, (u8)vector, false, 0);
		TRACE(TRACE_INJECT, v->vm->id, v->id, vector, 0);
	}
	hvm->irq_window(v, next_irq(v, &from_pic) >= 0);
}

// Deals with what was posted. false: the vcpu cannot enter the guest now.
static bool take_events(struct vcpu *v)
{
	u64 events = atomic_load(&v->events);

	v->deferred = 0;
	if (events & VCPU_STOP) {
		sched_vcpu_exit(&v->sched);
		return false;
	}
	if (events & VCPU_PAUSE) {
		sched_block(&v->sched);
		return false;
	}
	if (events & VCPU_INIT)
		take_init(v);
	if (events & VCPU_SIPI)
		take_sipi(v);
	if (v->mode == VCPU_WAIT_SIPI)
		return !sched_block(&v->sched) && (v->mode == VCPU_RUN);
	if (events & VCPU_FLUSH) {
		atomic_and(&v->events, ~(u64)VCPU_FLUSH);
		hvm->flush(v);
		vcpu_forget(v);
	}
	if (events & VCPU_NMI)
		inject_nmi(v);
	if (events & VCPU_LAPIC)
		inject_irq(v);
	return true;
}

// What was left to the interrupt window in an STI shadow can be taken now: HLT was the instruction
// in the shadow.
void vcpu_halt(struct vcpu *v)
{
	bool from_pic;

	v->halted = true;
	if (hvm->can_irq(v) && next_irq(v, &from_pic) >= 0)
		atomic_or(&v->events, VCPU_LAPIC);
}

// In HLT, with nothing to be delivered: false when it went to sleep. True: look at its events again.
static bool sleep(struct vcpu *v, struct pcpu *p)
{
	if (READ_ONCE(v->vm->rest))
		model_vm_rest(v->vm, v->id);
	p->current = NULL; // from here on a wake must reach the scheduler
	if (!(READ_ONCE(v->events) & ~v->deferred) && sched_block(&v->sched))
		return false;
	p->current = v;
	return true;
}

// With in_guest set a kick sends an interrupt, which stays pending until the guest is entered and
// ends that at once; so whatever is posted after this look at `events` is not lost.
static bool enter(struct vcpu *v, struct pcpu *p, struct hvm_exit *exit)
{
	atomic_store(&v->in_guest, 1);
	if ((READ_ONCE(v->events) & ~v->deferred) || READ_ONCE(p->work)) {
		atomic_store(&v->in_guest, 0);
		return false;
	}
	TRACE(TRACE_ENTER, v->vm->id, v->id, v->rip, 0);
	hvm->enter(v, exit);
	v->in_guest = 0;
	v->exits[exit->reason]++;
	TRACE(TRACE_EXIT, v->vm->id, v->id, v->rip, exit->reason);
	return true;
}

void vcpu_run(struct vcpu *v)
{
	struct pcpu *p = this_pcpu();
	struct hvm_exit exit;

	p->current = v;
	while (!READ_ONCE(p->work)) {
		if ((READ_ONCE(v->events) || v->mode != VCPU_RUN) && !take_events(v))
			break;
		if (__builtin_expect(v->halted, 0)) {
			if (hvm->injecting(v))
				v->halted = false;
			else if (sleep(v, p))
				continue;
			else
				return;
		}
		if (v->pv.eoi)
			vpv_before_enter(v);
		if (!enter(v, p, &exit))
			continue;
		if (v->pv.eoi_armed)
			vpv_after_exit(v);
		exit_handlers[exit.reason](v, &exit);
	}
	p->current = NULL;
}
