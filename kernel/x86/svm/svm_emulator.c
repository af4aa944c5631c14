// SPDX-License-Identifier: MIT
// What is done about four faults of QEMU's TCG (7.2; docs/emulator.md), where the processor is that. Never on hardware.
//
// It remembers the vector of an interrupt injected by EVENTINJ until the next exception or exit, and delivers it a
// second time, whatever IF says, when one of its other threads kicks it before that. So an interrupt is offered as a
// virtual one (V_IRQ, APM vol. 2, 15.21.4) with VINTR not intercepted; it stays in the VMCB until it is delivered.
//
// And VMRUN does not load the interrupt shadow. A guest that an exit stopped between its STI and HLT would take an
// interrupt there and then sleep, although what it waited for has happened. So the instruction in the shadow is
// stepped over, with no virtual interrupt in sight, when one is wanted.
//
// And VMRUN with a virtual interrupt may lose a physical one that another thread raises. It is looked for after each exit
// (svm.c); a guest that does not exit is interrupted now and then, by CPU 0, which runs no VM then. So is a CPU that sleeps over what it
// was told: seen once, with the others waiting for it for ever; how its interrupt was lost is not known.
//
// And what it has made of code may stay when the code is changed: a write has the translations of its place dropped, then changes memory,
// and in between another thread translates what was there. A Linux that patches itself by way of INT3 then meets INT3 again and again, where
// there is none. So at each of those beats a byte is written again that the guest is about to execute: who is in such a loop
// leaves it after some.
#include "kernel/core/log.h"
#include "kernel/core/timer.h"
#include "kernel/vm/linear.h"
#include "kernel/x86/regs.h"
#include "kernel/x86/svm/svm.h"
#include "kernel/x86/trap.h"

#define DR6_BS  BIT(14)
#define BEAT_NS 250000000ull

void emulator_offer(struct vcpu *v, u8 vector)
{
	svm_irq_window(v, true);
	vmcb_of(v)->int_vector = vector;
	vmcb_of(v)->intercept1 &= ~(u32)INTERCEPT_VINTR;
	svm_of(v)->emulator = EMULATOR_OFFER;
}

void emulator_withdraw(struct vcpu *v)
{
	svm_of(v)->emulator = 0;
	svm_irq_window(v, false);
	vmcb_of(v)->int_vector = VECTOR_SPURIOUS; // never delivered: VINTR exits
	vmcb_of(v)->intercept1 |= (u32)INTERCEPT_VINTR;
}

void emulator_shadow(struct vcpu *v)
{
	struct svm_vcpu *s = svm_of(v);
	struct vmcb *b = s->vmcb;

	s->emulator |= EMULATOR_SHADOW;
	if (!(b->int_ctl & INT_CTL_IRQ))
		return;
	b->int_ctl &= ~INT_CTL_IRQ;
	s->emulator |= EMULATOR_HIDDEN;
	if (b->rflags & RFLAGS_TF)
		return; // the guest steps itself
	b->rflags |= RFLAGS_TF;
	b->exceptions = ~0u; // no frame with TF in it
	s->emulator |= EMULATOR_STEP;
}

// The exit after a step: to the kernel it is the guest's when an exception came of it, and else a window.
static void stepped(struct vmcb *b)
{
	b->rflags &= ~RFLAGS_TF;
	b->exceptions = EXCEPTIONS_INTERCEPTED;
	b->dr6 &= ~DR6_BS;
	if (b->exit_code == VMEXIT_EXCEPTION + VECTOR_PF)
		b->cr2 = b->exit_info2;
	if (b->exit_code == VMEXIT_EXCEPTION + VECTOR_DB && !(b->dr6 & 0xf))
		b->exit_code = VMEXIT_VINTR;
}

static void shadow_exit(struct vcpu *v, struct svm_vcpu *s, struct vmcb *b)
{
	if (s->emulator & EMULATOR_HIDDEN)
		b->int_ctl |= INT_CTL_IRQ;
	if (s->emulator & EMULATOR_STEP)
		stepped(b);
	if (b->rip == v->rip && b->exit_code != VMEXIT_VINTR)
		b->int_state |= 1;
	s->emulator &= ~(u32)(EMULATOR_SHADOW | EMULATOR_HIDDEN | EMULATOR_STEP);
}

void emulator_exit(struct vcpu *v)
{
	struct svm_vcpu *s = svm_of(v);
	struct vmcb *b = s->vmcb;
	bool window = s->emulator & EMULATOR_WINDOW;

	if (s->emulator & EMULATOR_SHADOW)
		shadow_exit(v, s, b);
	if (!(s->emulator & EMULATOR_OFFER))
		return;
	if (!(b->int_ctl & INT_CTL_IRQ)) {
		emulator_withdraw(v);
		svm_irq_window(v, window);
	} else if ((u8)b->exit_int_info == b->int_vector) {
		// Its delivery, cut short, looks like an exception's; and it is still on offer.
		b->exit_int_info = 0;
	}
}

u32 emulator_beats;

void emulator_retranslate(struct vcpu *v)
{
	struct page_fault fault;
	struct hvm_paging p;
	const u8 *page;
	u64 linear;

	svm_of(v)->beats = READ_ONCE(emulator_beats);
	svm_paging_get(v, &p);
	linear = linear_rip(v, &p);
	page = linear_code_page(v, &p, linear, &fault);
	if (page) // the byte that is there, whoever else writes
		__asm__ volatile("lock orb $0, (%0)"
				 :
				 : "r"(page + linear % PAGE_SIZE)
				 : "memory", "cc");
}

// Since when it sleeps, though it was told to do something, or its timer is over; 0: it does not.
static u64 sleeps_over(const struct pcpu *p)
{
	bool owed = READ_ONCE(p->work) || READ_ONCE(p->timer_armed) < time_now();

	return owed ? READ_ONCE(p->asleep) : 0;
}

static void beat(struct timer *t)
{
	if (!svm_features.loses_interrupts)
		return; // one CPU
	WRITE_ONCE(emulator_beats, emulator_beats + 1);
	for (u32 i = 1; i < pcpu_count; i++) {
		struct pcpu *p = pcpus[i];
		u64 since = sleeps_over(p);
		bool lost = since && since == p->overslept;

		p->overslept = since;
		if (lost)
			log_line("CPU %u: an interrupt was lost", i);
		if (lost || READ_ONCE(p->current))
			arch_kick(p);
	}
	timer_set(t, time_now() + time_from_ns(BEAT_NS));
}

COLD void emulator_beat_start(void)
{
	static struct timer t;

	timer_init(&t, beat);
	timer_set(&t, time_now() + time_from_ns(BEAT_NS));
}
