// SPDX-License-Identifier: MIT
// Events into a guest: injection (APM vol. 2, 15.20), and windows in which it can take one.
#include "kernel/x86/regs.h"
#include "kernel/x86/svm/svm.h"

void svm_inject(struct vcpu *v, enum hvm_event_type type, u8 vector, bool has_error, u32 error)
{
	static const u64 types[] = {
		[EVENT_IRQ] = EVENT_TYPE_INTR,
		[EVENT_NMI] = EVENT_TYPE_NMI,
		[EVENT_EXCEPTION] = EVENT_TYPE_EXCEPTION,
		[EVENT_SOFT] = EVENT_TYPE_SOFT,
	};
	u64 event = EVENT_VALID | types[type] | vector;

	if (type == EVENT_IRQ && svm_features.emulated) {
		emulator_offer(v, vector);
		return;
	}
	if (has_error)
		event |= EVENT_HAS_ERROR | (u64)error << 32;
	vmcb_of(v)->event_inj = event;
	if (type == EVENT_NMI) {
		svm_of(v)->nmi_masked = true;
		vmcb_of(v)->intercept1 |= (u32)INTERCEPT_IRET; // which ends the masking
	}
}

bool svm_injecting(const struct vcpu *v)
{
	return (vmcb_of(v)->event_inj & EVENT_VALID) || (svm_of(v)->emulator & EMULATOR_OFFER);
}

bool svm_can_irq(const struct vcpu *v)
{
	return (v->rflags & RFLAGS_IF) && !svm_shadow(v);
}

bool svm_can_nmi(const struct vcpu *v)
{
	return !svm_of(v)->nmi_masked && !svm_shadow(v);
}

// A virtual interrupt that always exits (VINTR) just before it would be delivered.
void svm_irq_window(struct vcpu *v, bool on)
{
	if (svm_of(v)->emulator & EMULATOR_OFFER)
		svm_of(v)->emulator |= on ? EMULATOR_WINDOW : 0;
	else if (on)
		vmcb_of(v)->int_ctl |= INT_CTL_IRQ | INT_CTL_PRIO_MAX | INT_CTL_IGN_TPR;
	else
		vmcb_of(v)->int_ctl &= ~INT_CTL_IRQ;
}

// Masked by an NMI under way: the intercepted IRET opens the window. By a shadow only: the next
// instruction does, and an interrupt window is the way to be told.
void svm_nmi_window(struct vcpu *v, bool on)
{
	if (!svm_of(v)->nmi_masked)
		svm_irq_window(v, on);
}

// The guest is at the IRET that ends its NMI handler. NMIs are open again after it, so step over
// it.
static void nmi_step_begin(struct vcpu *v)
{
	struct vmcb *b = vmcb_of(v);

	b->intercept1 &= ~(u32)INTERCEPT_IRET;
	svm_of(v)->nmi_step = true;
	v->rflags |= RFLAGS_TF;
}

// For svm_exit_decode: true when the exit is one of the two that an NMI's end makes.
bool svm_nmi_ends(struct vcpu *v)
{
	struct svm_vcpu *s = svm_of(v);

	if (s->vmcb->exit_code == VMEXIT_IRET) {
		nmi_step_begin(v);
		return true;
	}
	if (s->nmi_step && s->vmcb->exit_code == VMEXIT_EXCEPTION + VECTOR_DB) {
		s->nmi_step = s->nmi_masked = false;
		s->vmcb->dr6 &= ~BIT(14); // DR6.BS is ours
		return true;
	}
	return false;
}
