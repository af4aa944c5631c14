// SPDX-License-Identifier: MIT
// A vcpu's registers in the VMCB.
#include "kernel/x86/regs.h"
#include "kernel/x86/svm/svm.h"
#include "lib/string.h"

static const u16 reg_offset[HVM_REG_COUNT] = {
	[HVM_CR0] = offsetof(struct vmcb, cr0),
	[HVM_CR2] = offsetof(struct vmcb, cr2),
	[HVM_CR3] = offsetof(struct vmcb, cr3),
	[HVM_CR4] = offsetof(struct vmcb, cr4),
	[HVM_EFER] = offsetof(struct vmcb, efer),
	[HVM_DR6] = offsetof(struct vmcb, dr6),
	[HVM_DR7] = offsetof(struct vmcb, dr7),
	[HVM_PAT] = offsetof(struct vmcb, pat),
	[HVM_FS_BASE] = offsetof(struct vmcb, fs.base),
	[HVM_GS_BASE] = offsetof(struct vmcb, gs.base),
	[HVM_KERNEL_GS_BASE] = offsetof(struct vmcb, kernel_gs_base),
	[HVM_STAR] = offsetof(struct vmcb, star),
	[HVM_LSTAR] = offsetof(struct vmcb, lstar),
	[HVM_CSTAR] = offsetof(struct vmcb, cstar),
	[HVM_SFMASK] = offsetof(struct vmcb, sfmask),
	[HVM_SYSENTER_CS] = offsetof(struct vmcb, sysenter_cs),
	[HVM_SYSENTER_ESP] = offsetof(struct vmcb, sysenter_esp),
	[HVM_SYSENTER_EIP] = offsetof(struct vmcb, sysenter_eip),
	[HVM_DEBUGCTL] = offsetof(struct vmcb, debugctl),
};

static const u16 seg_offset[SEG_COUNT] = {
	[SEG_ES] = offsetof(struct vmcb, es),
	[SEG_CS] = offsetof(struct vmcb, cs),
	[SEG_SS] = offsetof(struct vmcb, ss),
	[SEG_DS] = offsetof(struct vmcb, ds),
	[SEG_FS] = offsetof(struct vmcb, fs),
	[SEG_GS] = offsetof(struct vmcb, gs),
	[SEG_LDTR] = offsetof(struct vmcb, ldtr),
	[SEG_TR] = offsetof(struct vmcb, tr),
	[SEG_GDTR] = offsetof(struct vmcb, gdtr),
	[SEG_IDTR] = offsetof(struct vmcb, idtr),
};

// EFER.SVME must be set in the VMCB (15.5.1); the guest neither sees nor changes it.
u64 svm_reg_get(const struct vcpu *v, enum hvm_reg r)
{
	u64 value;

	memcpy(&value, (const u8 *)vmcb_of(v) + reg_offset[r], sizeof(value));
	return r == HVM_EFER ? value & ~EFER_SVME : value;
}

void svm_reg_set(struct vcpu *v, enum hvm_reg r, u64 value)
{
	if (r == HVM_EFER)
		value |= EFER_SVME;
	memcpy((u8 *)vmcb_of(v) + reg_offset[r], &value, sizeof(value));
}

void svm_paging_get(const struct vcpu *v, struct hvm_paging *out)
{
	const struct vmcb *b = vmcb_of(v);

	out->cr0 = b->cr0;
	out->cr3 = b->cr3;
	out->cr4 = b->cr4;
	out->efer = b->efer;
	out->cs_base = b->cs.base;
	out->cs_attr = b->cs.attr;
	out->cpl = b->cpl;
}

void svm_seg_get(const struct vcpu *v, unsigned s, struct hvm_segment *out)
{
	const struct vmcb_segment *seg = (const void *)((const u8 *)vmcb_of(v) + seg_offset[s]);

	*out = (struct hvm_segment){seg->selector, seg->attr, seg->limit, seg->base};
}

// A TSS goes in as available, though a busy one is the truth: QEMU ends itself ("invalid tss type")
// when a 32-bit guest enters ring 0 with a busy one, and no processor looks at the bit.
void svm_seg_set(struct vcpu *v, unsigned s, const struct hvm_segment *in)
{
	struct vmcb_segment *seg = (void *)((u8 *)vmcb_of(v) + seg_offset[s]);

	*seg = (struct vmcb_segment){in->selector, in->attr, in->limit, in->base};
	if (s == SEG_TR)
		seg->attr &= (u16)~2u;
	if (s == SEG_SS)
		vmcb_of(v)->cpl = (u8)(in->attr >> 5 & 3);
}

static void segments_reset(struct vmcb *b)
{
	const struct vmcb_segment data = {.attr = 0x93, .limit = 0xffff};

	b->es = b->ss = b->ds = b->fs = b->gs = data;
	b->cs = (struct vmcb_segment){
		.selector = 0xf000, .attr = 0x9b, .limit = 0xffff, .base = 0xffff0000};
	b->gdtr = b->idtr = (struct vmcb_segment){.limit = 0xffff};
	b->ldtr = (struct vmcb_segment){.attr = 0x82, .limit = 0xffff};
	b->tr = (struct vmcb_segment){.attr = 0x89, .limit = 0xffff};
}

// State after INIT or RESET (APM vol. 2, table 14-1).
void svm_vcpu_reset(struct vcpu *v)
{
	struct svm_vcpu *s = svm_of(v);
	struct vmcb *b = s->vmcb;

	segments_reset(b);
	b->cpl = 0;
	b->cr0 = 0x60000010;
	b->cr2 = b->cr3 = b->cr4 = 0;
	b->dr6 = 0xffff0ff0;
	b->dr7 = 0x400;
	b->efer = EFER_SVME;
	b->pat = 0x0007040600070406;
	b->debugctl = 0;
	b->star = b->lstar = b->cstar = b->sfmask = b->kernel_gs_base = 0;
	b->sysenter_cs = b->sysenter_esp = b->sysenter_eip = 0;
	b->event_inj = 0;
	b->int_state = 0;
	emulator_withdraw(v);
	b->int_ctl &= ~INT_CTL_TPR_MASK;
	b->intercept1 &= ~(u32)INTERCEPT_IRET;
	s->nmi_masked = s->nmi_step = false;
	memset(v->gpr, 0, sizeof(v->gpr));
	v->rip = 0xfff0;
	v->rflags = 2;
}
