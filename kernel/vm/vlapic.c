// SPDX-License-Identifier: MIT
// The virtual local APIC's interrupts: from their arrival over priority and delivery to their end.
#include "kernel/vm/vm.h"
#include "kernel/vm/vlapic_regs.h"
#include "lib/errno.h"
#include "lib/string.h"

// Lets the vcpu look at its vlapic. When it is this CPU that runs it, it does so before it enters the guest again, and
// nobody has to be woken.
static void vlapic_notify(struct vcpu *v)
{
	if (this_pcpu()->running == &v->sched)
		atomic_or(&v->events, (u64)VCPU_LAPIC);
	else
		vcpu_post(v, VCPU_LAPIC);
}

bool vlapic_set_irq(struct vcpu *v, u8 vector, bool level)
{
	struct vlapic *l = &v->lapic;
	u64 bit = BIT(vector % 64);
	u64 *tmr = &l->tmr[vector / 64];

	if (!vlapic_hard_enabled(l) || !vlapic_soft_enabled(l))
		return false;
	if (vector < 16) {
		vlapic_error(v, ESR_RECEIVE_VECTOR);
		return false;
	}
	// TMR first: whoever sees the request must see how it is triggered.
	if (level)
		atomic_or(tmr, bit);
	else if (READ_ONCE(*tmr) & bit)
		atomic_and(tmr, ~bit);
	if (!(atomic_or(&l->irr[vector / 64], bit) & bit))
		vlapic_notify(v);
	return true;
}

void vlapic_error(struct vcpu *v, u32 bits)
{
	struct vlapic *l = &v->lapic;
	u32 before = atomic_or(&l->esr_pending, bits);
	u32 lvt = READ_ONCE(l->lvt[LVT_ERROR]);
	u8 vector = (u8)lvt;

	// An error vector that is itself illegal would call this again, without end.
	if ((before & bits) != bits && !(lvt & LVT_MASKED) && vector >= 16)
		vlapic_set_irq(v, vector, false);
}

// Processor priority: the higher of the task's and that of the interrupt in service, in classes of 16 (SDM 10.8.3.1).
static void vlapic_ppr_update(struct vlapic *l)
{
	u8 class = l->isr_top < 0 ? 0 : (u8)l->isr_top & 0xf0;

	l->ppr = (l->tpr & 0xf0) >= class ? l->tpr : class;
}

// Priority went down: what waited may be deliverable now.
static void vlapic_look_again(struct vcpu *v)
{
	if (bits256_any(v->lapic.irr))
		atomic_or(&v->events, (u64)VCPU_LAPIC);
}

int vlapic_irq_pending(const struct vcpu *v)
{
	const struct vlapic *l = &v->lapic;
	int vector = bits256_highest(l->irr);

	if (vector < 0 || (vector & 0xf0) <= (l->ppr & 0xf0) || !vlapic_hard_enabled(l))
		return -1;
	return vector;
}

void vlapic_irq_accept(struct vcpu *v, u8 vector)
{
	struct vlapic *l = &v->lapic;
	u64 bit = BIT(vector % 64);

	atomic_and(&l->irr[vector / 64], ~bit);
	l->isr[vector / 64] |= bit;
	l->isr_top = vector; // it was above the old one, and above the old PPR
	l->ppr = vector & 0xf0;
}

void vlapic_eoi(struct vcpu *v)
{
	struct vlapic *l = &v->lapic;
	int vector = l->isr_top;

	if (vector < 0)
		return;
	l->isr[(u8)vector / 64] &= ~BIT((u8)vector % 64);
	l->isr_top = bits256_highest(l->isr);
	vlapic_ppr_update(l);
	vlapic_look_again(v);
	if (bits256_test(l->tmr, (u8)vector) && !(l->svr & SVR_EOI_SUPPRESS))
		vioapic_eoi(v->vm, (u8)vector);
}

bool vlapic_eoi_is_silent(const struct vcpu *v)
{
	const struct vlapic *l = &v->lapic;

	return l->isr_top >= 0 && !bits256_any(l->irr) && !bits256_test(l->tmr, (u8)l->isr_top);
}

u8 vlapic_tpr(const struct vcpu *v)
{
	return v->lapic.tpr;
}

void vlapic_tpr_set(struct vcpu *v, u8 tpr)
{
	struct vlapic *l = &v->lapic;
	u8 before = l->tpr;

	if (tpr == before)
		return;
	l->tpr = tpr;
	hvm->tpr_set(v, tpr >> 4); // a read of CR8 does not exit
	vlapic_ppr_update(l);
	if (tpr < before)
		vlapic_look_again(v);
}

bool vlapic_accepts_extint(const struct vcpu *v)
{
	u32 lint0 = READ_ONCE(v->lapic.lvt[LVT_LINT0]);

	if (!vlapic_hard_enabled(&v->lapic))
		return true;
	return !(lint0 & LVT_MASKED) && LVT_MODE(lint0) == APIC_EXTINT;
}

void vlapic_init(struct vcpu *v)
{
	v->lapic = (struct vlapic){0};
	vlapic_timer_init(v);
}

void vlapic_destroy(struct vcpu *v)
{
	timer_cancel_sync(&v->lapic.timer);
}

void vlapic_reset(struct vcpu *v, bool init)
{
	struct vlapic *l = &v->lapic;

	vlapic_timer_reset(v);
	if (!init)
		WRITE_ONCE(l->base, GPA_LAPIC | BASE_ENABLE | (v->id == 0 ? BASE_BSP : 0));
	WRITE_ONCE(l->svr, 0xff); // first, so that nothing more comes in
	for (unsigned i = 0; i < 4; i++) {
		atomic_store(&l->irr[i], 0);
		atomic_store(&l->tmr[i], 0);
		l->isr[i] = 0;
	}
	l->isr_top = -1;
	l->tpr = l->ppr = 0;
	WRITE_ONCE(l->ldr, 0);
	WRITE_ONCE(l->dfr, ~0u);
	for (unsigned i = 0; i < VLAPIC_LVTS; i++)
		WRITE_ONCE(l->lvt[i], LVT_MASKED);
	if (v->id == 0)
		WRITE_ONCE(l->lvt[LVT_LINT0], (u32)APIC_EXTINT << 8);
	l->esr = 0;
	atomic_store(&l->esr_pending, 0);
	l->icr = 0;
}
