// SPDX-License-Identifier: MIT
// AMD-V: detection, set-up of CPUs and vcpus, and the entry into a guest (APM vol. 2, chapter 15).
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/vm/vm.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/regs.h"
#include "kernel/x86/svm/svm.h"
#include "kernel/x86/trap.h"
#include "lib/errno.h"
#include "lib/string.h"

#define MSR_VM_CR    0xc0010114
#define MSR_HSAVE_PA 0xc0010117
#define VM_CR_SVMDIS BIT(4)

#define SVM_NPT            BIT(0)
#define SVM_NRIP           BIT(3)
#define SVM_DECODE_ASSISTS BIT(7)
#define SVM_PAUSE_FILTER   BIT(10)

struct svm_cpu svm_cpus[PCPU_MAX];
u32 svm_asids;
struct svm_features svm_features;

COLD static bool svm_probe(void)
{
	struct cpuid r = cpuid(0x80000001, 0);

	if (!(r.ecx & BIT(2)))
		return false;
	r = cpuid(0x8000000a, 0);
	if (!(r.edx & SVM_NPT)) {
		log_line(
			"AMD-V without nested paging cannot be used: a processor with NPT is needed");
		return false;
	}
	if (msr_read(MSR_VM_CR) & VM_CR_SVMDIS) {
		log_line(
			"AMD-V is disabled by the firmware (VM_CR.SVMDIS): enable SVM in its set-up");
		return false;
	}
	svm_asids = r.ebx;
	svm_features.next_rip = r.edx & SVM_NRIP;
	svm_features.decode_assists = r.edx & SVM_DECODE_ASSISTS;
	svm_features.pause_filter = r.edx & SVM_PAUSE_FILTER;
	log_line("AMD-V: %u ASIDs%s%s%s", svm_asids, svm_features.next_rip ? ", next rip" : "",
		svm_features.decode_assists ? ", decode assists" : "",
		svm_features.pause_filter ? ", pause filter" : "");
	return true;
}

COLD static int svm_cpu_init(void)
{
	struct svm_cpu *c = &svm_cpus[this_pcpu()->id];
	void *save = kmem_alloc(PAGE_SIZE, FRAME_OWNER_KERNEL);
	void *host = kmem_alloc(PAGE_SIZE, FRAME_OWNER_KERNEL);

	if (!save || !host || (!svm_iopm_pa && svm_maps_init()))
		return -ENOMEM;
	msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_SVME);
	msr_write(MSR_HSAVE_PA, va_to_hpa(save).v);
	c->host_vmcb_pa = va_to_hpa(host).v;
	svm_features.emulated = cpu_info.emulated;
	if (cpu_info.emulated && this_pcpu()->id == 0)
		emulator_beat_start();
	if (cpu_info.emulated && this_pcpu()->id == 1) {
		svm_features.loses_interrupts = true;
		sched_barred = BIT(0);
		log_line("AMD-V is QEMU's: no VM runs on CPU 0");
	}
	c->generation = 1;
	c->next_asid = 1;
	__asm__ volatile("vmsave %%rax" : : "a"(c->host_vmcb_pa) : "memory");
	return 0;
}

COLD static void svm_cpu_exit(void)
{
	__asm__ volatile("stgi");
	msr_write(MSR_EFER, msr_read(MSR_EFER) & ~EFER_SVME);
}

COLD static void vmcb_init(struct vmcb *b)
{
	b->cr_write = 1 << 8;
	b->exceptions = EXCEPTIONS_INTERCEPTED;
	b->intercept1 =
		(u32)(INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_INIT | INTERCEPT_RDPMC |
			INTERCEPT_CPUID | INTERCEPT_RSM | INTERCEPT_INVD | INTERCEPT_HLT |
			INTERCEPT_INVLPGA | INTERCEPT_IOIO | INTERCEPT_MSR | INTERCEPT_SHUTDOWN);
	b->intercept2 =
		(u32)(INTERCEPT_VMRUN | INTERCEPT_VMMCALL | INTERCEPT_VMLOAD | INTERCEPT_VMSAVE |
			INTERCEPT_STGI | INTERCEPT_CLGI | INTERCEPT_SKINIT | INTERCEPT_WBINVD |
			INTERCEPT_MONITOR | INTERCEPT_MWAIT | INTERCEPT_XSETBV | INTERCEPT_RDPRU);
	if (svm_features.pause_filter) {
		b->intercept1 |= (u32)INTERCEPT_PAUSE;
		b->pause_count = 3000;
	}
	b->msrpm = svm_msrpm_pa;
	b->int_ctl = INT_CTL_MASKING;
	b->nested_ctl = 1;
}

COLD static int svm_vcpu_create(struct vcpu *v)
{
	struct svm_vcpu *s = kmem_alloc(PAGE_SIZE + sizeof(struct vmcb), v->vm->id);

	if (!s)
		return -ENOMEM;
	v->arch = s;
	s->vmcb = (void *)((u8 *)s + PAGE_SIZE);
	s->vmcb_pa = va_to_hpa(s->vmcb).v;
	vmcb_init(s->vmcb);
	s->vmcb->iopm = svm_iopm(v->vm);
	s->vmcb->nested_cr3 = v->vm->gmap.root.v;
	s->vmcb->tsc_offset = v->vm->tsc_offset;
	svm_vcpu_reset(v);
	return 0;
}

COLD static void svm_vcpu_destroy(struct vcpu *v)
{
	if (v->arch)
		kmem_free(v->arch, PAGE_SIZE + sizeof(struct vmcb));
	v->arch = NULL;
}

// Whatever was cached of the guest is dropped by giving it an ASID that is not in use; where the
// processor cannot flush a single one (QEMU) this is the cheapest way, and elsewhere it is no
// worse. When all are used up, all go.
static void asid_renew(struct svm_vcpu *s, struct svm_cpu *c)
{
	s->vmcb->tlb_control = 0;
	if (c->next_asid >= svm_asids) {
		c->generation++;
		c->next_asid = 1;
		s->vmcb->tlb_control = 1; // flush all
	}
	s->vmcb->asid = c->next_asid++;
	s->asid_generation = c->generation;
}

static void svm_flush(struct vcpu *v)
{
	svm_of(v)->asid_generation = 0;
}

// What is done after an exit because the processor is QEMU with several threads: its VMRUN changes
// the set of pending interrupts without a lock and may so lose one that another thread raises; a
// write of CR8 makes it look at its APIC again (docs/emulator.md).
static inline void emulator_recheck_interrupts(void)
{
	if (svm_features.loses_interrupts)
		__asm__ volatile("mov %0, %%cr8" : : "r"(0ul) : "memory");
}

static inline void translate_exit(struct vcpu *v, const struct vmcb *b, struct hvm_exit *out)
{
	u64 code = (u32)b->exit_code;
	u64 length = svm_features.next_rip ? b->next_rip - b->rip : 0;

	out->code = code;
	out->length = length <= INSN_LENGTH_MAX ? (u8)length : 0;
	out->reason = code < SVM_PLAIN_EXITS ? svm_plain_exits[code] : 0;
	if (!out->reason)
		svm_exit_decode(v, out);
}

static void svm_enter(struct vcpu *v, struct hvm_exit *out)
{
	struct svm_vcpu *s = svm_of(v);
	struct svm_cpu *c = &svm_cpus[this_pcpu()->id];
	struct vmcb *b = s->vmcb;

	if (s->asid_generation != c->generation)
		asid_renew(s, c);
	b->rax = v->gpr[RAX];
	b->rsp = v->gpr[RSP];
	if (b->rip != v->rip) { // an instruction was emulated: its shadow is over
		b->rip = v->rip;
		b->int_state = 0;
	}
	b->rflags = v->rflags;
	if (__builtin_expect(b->int_state != 0, 0) && svm_features.emulated)
		emulator_shadow(v);
	svm_run(s->vmcb_pa, v->gpr, c->host_vmcb_pa);
	emulator_recheck_interrupts();
	if (__builtin_expect(s->emulator != 0, 0))
		emulator_exit(v);
	v->gpr[RAX] = b->rax;
	v->gpr[RSP] = b->rsp;
	v->rip = b->rip;
	v->rflags = b->rflags;
	b->tlb_control = 0;
	// An event whose delivery was cut short by the exit is delivered again (15.20); a software
	// interrupt is not: its instruction runs again.
	b->event_inj = 0;
	if (__builtin_expect((b->exit_int_info & EVENT_VALID) != 0, 0) &&
		(b->exit_int_info & EVENT_TYPE_MASK) != EVENT_TYPE_SOFT)
		b->event_inj = b->exit_int_info;
	translate_exit(v, b, out);
}

static void svm_tpr_set(struct vcpu *v, u8 tpr)
{
	struct vmcb *b = vmcb_of(v);

	b->int_ctl = (b->int_ctl & ~INT_CTL_TPR_MASK) | (tpr & INT_CTL_TPR_MASK);
}

const struct hvm_ops svm_ops = {
	.name = "AMD-V",
	.probe = svm_probe,
	.cpu_init = svm_cpu_init,
	.cpu_exit = svm_cpu_exit,
	.vcpu_create = svm_vcpu_create,
	.vcpu_destroy = svm_vcpu_destroy,
	.vcpu_reset = svm_vcpu_reset,
	.enter = svm_enter,
	.reg_get = svm_reg_get,
	.reg_set = svm_reg_set,
	.paging_get = svm_paging_get,
	.seg_get = svm_seg_get,
	.seg_set = svm_seg_set,
	.inject = svm_inject,
	.injecting = svm_injecting,
	.can_irq = svm_can_irq,
	.can_nmi = svm_can_nmi,
	.irq_window = svm_irq_window,
	.nmi_window = svm_nmi_window,
	.tpr_set = svm_tpr_set,
	.flush = svm_flush,
	// Nested page tables are walked as a user's (15.25.5): every level present, writable, user;
	// no NX in a leaf.
	.pte_table = 0x7,
	.pte_leaf_rwx = 0x7,
	.pte_large = 0x80,
};
