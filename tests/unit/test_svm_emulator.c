// SPDX-License-Identifier: MIT
// Interrupts into a guest where the processor is QEMU's: on offer until delivered, and never in an interrupt shadow.
// link: kernel/x86/svm/svm_emulator.c kernel/x86/svm/svm_event.c kernel/core/timer.c tests/unit/fake/arch.c
#include "tests/unit/test.h"
#include "kernel/core/timer.h"
#include "kernel/vm/linear.h"
#include "kernel/x86/regs.h"
#include "kernel/x86/svm/svm.h"
#include "kernel/x86/trap.h"
#include "lib/string.h"

struct svm_features svm_features;

static struct vmcb vmcb;
static struct svm_vcpu svm;
static struct vcpu vcpu;

#define VECTOR 0x77

// A vcpu with interrupts enabled, at the instruction at rip 0x1000.
static struct vcpu *fresh(void)
{
	memset(&vmcb, 0, sizeof(vmcb));
	memset(&svm, 0, sizeof(svm));
	memset(&vcpu, 0, sizeof(vcpu));
	svm_features.emulated = true;
	svm.vmcb = &vmcb;
	vcpu.arch = &svm;
	vcpu.rip = vmcb.rip = 0x1000;
	vcpu.rflags = vmcb.rflags = RFLAGS_IF | 2;
	emulator_withdraw(&vcpu);
	return &vcpu;
}

// The guest ran and left at rip; delivered: it took the virtual interrupt.
static void leave(u32 code, u64 rip, bool delivered)
{
	vmcb.exit_code = code;
	vmcb.rip = rip;
	if (delivered)
		vmcb.int_ctl &= ~INT_CTL_IRQ;
	if (svm.emulator)
		emulator_exit(&vcpu);
	vcpu.rip = vmcb.rip;
	vcpu.rflags = vmcb.rflags;
}

static bool window_is_open(void)
{
	return (vmcb.int_ctl & INT_CTL_IRQ) && (vmcb.intercept1 & INTERCEPT_VINTR) &&
	       vmcb.int_vector == VECTOR_SPURIOUS;
}

static u8 code_page[PAGE_SIZE];
static u64 asked; // the address that was looked up last
static bool no_code;

void svm_paging_get(const struct vcpu *v, struct hvm_paging *out)
{
	(void)v;
	*out = (struct hvm_paging){.efer = EFER_LMA, .cs_attr = SEG_ATTR_L};
}

const u8 *linear_code_page(
	struct vcpu *v, const struct hvm_paging *paging, u64 linear, struct page_fault *fault)
{
	(void)v;
	(void)paging;
	(void)fault;
	asked = linear;
	return no_code ? NULL : code_page;
}

// Nothing changes, whether there is code or not, and until the next beat it is not done again.
TEST(the_byte_that_is_next_is_written_again)
{
	struct vcpu *v = fresh();

	emulator_beats = 5;
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		code_page[i] = (u8)i;
	v->rip = 0xffffffff81000fff;
	for (unsigned round = 0; round < 2; round++) {
		no_code = round;
		emulator_beats++;
		emulator_retranslate(v);
		CHECK_EQ(asked, 0xffffffff81000fff);
		CHECK_EQ(svm.beats, emulator_beats);
	}
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		CHECK_EQ(code_page[i], (u8)i);
}

TEST(offered_until_delivered)
{
	struct vcpu *v = fresh();

	svm_inject(v, EVENT_IRQ, VECTOR, false, 0);
	CHECK_EQ(vmcb.event_inj, 0);
	CHECK_EQ(vmcb.int_vector, VECTOR);
	CHECK(vmcb.int_ctl & INT_CTL_IRQ);
	CHECK(!(vmcb.intercept1 & INTERCEPT_VINTR));
	CHECK(svm_injecting(v));
	leave(VMEXIT_INTR, 0x1000, false);
	CHECK(svm_injecting(v));
	CHECK_EQ(vmcb.int_vector, VECTOR);
	leave(VMEXIT_CPUID, 0x2000, true);
	CHECK(!svm_injecting(v));
	CHECK(vmcb.intercept1 & INTERCEPT_VINTR);
	CHECK_EQ(vmcb.int_vector, VECTOR_SPURIOUS);
	CHECK(!(vmcb.int_ctl & INT_CTL_IRQ));
}

TEST(a_window_waits_behind_it)
{
	struct vcpu *v = fresh();

	svm_inject(v, EVENT_IRQ, VECTOR, false, 0);
	svm_irq_window(v, true);
	CHECK_EQ(vmcb.int_vector, VECTOR);
	leave(VMEXIT_INTR, 0x1000, false);
	CHECK(!window_is_open());
	leave(VMEXIT_CPUID, 0x2000, true);
	CHECK(window_is_open());
	svm_irq_window(v, false);
	CHECK(!window_is_open());
}

TEST(delivery_cut_short)
{
	struct vcpu *v = fresh();

	svm_inject(v, EVENT_IRQ, VECTOR, false, 0);
	vmcb.exit_int_info = EVENT_VALID | EVENT_TYPE_EXCEPTION | VECTOR;
	leave(VMEXIT_NPF, 0x1000, false);
	CHECK_EQ(vmcb.exit_int_info, 0);
	CHECK(svm_injecting(v));
}

TEST(reset_withdraws)
{
	struct vcpu *v = fresh();

	svm_inject(v, EVENT_IRQ, VECTOR, false, 0);
	svm_irq_window(v, true);
	emulator_withdraw(v);
	CHECK(!svm_injecting(v));
	CHECK(!(vmcb.int_ctl & INT_CTL_IRQ));
	CHECK_EQ(svm.emulator, 0);
}

// An exit between STI and HLT, and then an interrupt: HLT comes first.
TEST(the_shadow_is_kept)
{
	struct vcpu *v = fresh();

	vmcb.int_state = 1;
	CHECK(!svm_can_irq(v));
	svm_irq_window(v, true);
	emulator_shadow(v);
	CHECK(!(vmcb.int_ctl & INT_CTL_IRQ));
	CHECK(vmcb.rflags & RFLAGS_TF);
	vmcb.int_state = 0; // as QEMU leaves it
	leave(VMEXIT_INTR, 0x1000, false);
	CHECK_EQ(vmcb.int_state, 1);
	CHECK(!svm_can_irq(v));
	CHECK(!(v->rflags & RFLAGS_TF));
	CHECK(window_is_open());
	emulator_shadow(v);
	vmcb.int_state = 0;
	leave(VMEXIT_HLT, 0x1000, false);
	CHECK_EQ((u32)vmcb.exit_code, VMEXIT_HLT);
	CHECK(!(v->rflags & RFLAGS_TF));
	CHECK_EQ(vmcb.exceptions, EXCEPTIONS_INTERCEPTED);
	CHECK_EQ(svm.emulator, 0);
}

TEST(the_shadow_ends_by_a_step)
{
	struct vcpu *v = fresh();

	vmcb.int_state = 1;
	svm_irq_window(v, true);
	emulator_shadow(v);
	CHECK_EQ(vmcb.exceptions, ~0u);
	vmcb.int_state = 0;
	vmcb.dr6 = 0xffff4ff0;
	leave(VMEXIT_EXCEPTION + VECTOR_DB, 0x1000, false); // an instruction that jumps to itself
	CHECK_EQ((u32)vmcb.exit_code, VMEXIT_VINTR);
	CHECK_EQ(vmcb.dr6, 0xffff0ff0);
	CHECK_EQ(vmcb.int_state, 0);
	CHECK(svm_can_irq(v));
}

TEST(a_step_that_faults)
{
	struct vcpu *v = fresh();

	vmcb.int_state = 1;
	svm_irq_window(v, true);
	emulator_shadow(v);
	vmcb.int_state = 0;
	vmcb.exit_info2 = 0xdead000;
	leave(VMEXIT_EXCEPTION + VECTOR_PF, 0x1000, false);
	CHECK_EQ((u32)vmcb.exit_code, VMEXIT_EXCEPTION + VECTOR_PF);
	CHECK_EQ(vmcb.cr2, 0xdead000);
	CHECK(!(v->rflags & RFLAGS_TF));
}

TEST(a_guest_that_steps_itself)
{
	struct vcpu *v = fresh();

	vmcb.int_state = 1;
	vmcb.rflags |= RFLAGS_TF;
	v->rflags |= RFLAGS_TF;
	svm_irq_window(v, true);
	emulator_shadow(v);
	CHECK(!(vmcb.int_ctl & INT_CTL_IRQ));
	vmcb.int_state = 0;
	vmcb.dr6 = 0xffff4ff0;
	leave(VMEXIT_EXCEPTION + VECTOR_DB, 0x1001, false);
	CHECK_EQ((u32)vmcb.exit_code, VMEXIT_EXCEPTION + VECTOR_DB); // its own
	CHECK_EQ(vmcb.dr6, 0xffff4ff0);
	CHECK(v->rflags & RFLAGS_TF);
	CHECK(window_is_open());
}

// CPUs that are in a guest are interrupted now and then, for they may have lost an interrupt; CPU 0 is in none.
TEST(guests_are_interrupted_now_and_then)
{
	fake_reset(3);
	timer_init_pcpu(this_pcpu());
	svm_features.loses_interrupts = true;
	pcpus[2]->current = fresh();
	emulator_beat_start();
	for (unsigned i = 0; i < 10; i++) {
		fake_now += 100000000;
		timer_run(TIMER_NEVER);
	}
	CHECK(fake_kicks[2] >= 3 && fake_kicks[2] <= 4);
	CHECK_EQ(fake_kicks[1], 0);
	CHECK_EQ(fake_kicks[0], 0);
}

static void beats(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		fake_now += 250000000;
		timer_run(TIMER_NEVER);
	}
}

// A CPU that sleeps with work, or behind its timer, from one beat to the next is interrupted; one that has nothing to do, or was awake
// in between, is not.
TEST(sleepers_are_woken)
{
	fake_reset(5);
	timer_init_pcpu(this_pcpu());
	svm_features.loses_interrupts = true;
	for (unsigned i = 1; i < 5; i++) {
		pcpus[i]->timer_armed = ~0ull;
		pcpus[i]->asleep = i;
	}
	pcpus[1]->work = pcpus[4]->work = WORK_RESCHED;
	pcpus[2]->timer_armed = fake_now;
	emulator_beat_start();
	beats(1);
	CHECK_EQ(fake_kicks[1], 0); // it may be on its way
	pcpus[4]->asleep = fake_now;
	beats(1);
	CHECK_EQ(fake_kicks[1], 1);
	CHECK_EQ(fake_kicks[2], 1);
	CHECK_EQ(fake_kicks[3], 0);
	CHECK_EQ(fake_kicks[4], 0);
	pcpus[1]->asleep = 0;
	beats(2);
	CHECK_EQ(fake_kicks[1], 1);
	CHECK_EQ(fake_kicks[2], 3);
}

TEST(one_cpu_is_left_alone)
{
	fake_reset(1);
	timer_init_pcpu(this_pcpu());
	svm_features.loses_interrupts = false;
	emulator_beat_start();
	fake_now += 1000000000;
	timer_run(TIMER_NEVER);
	CHECK_EQ(fake_kicks[0], 0);
	CHECK(list_empty(&this_pcpu()->timers));
}

TEST_MAIN()
