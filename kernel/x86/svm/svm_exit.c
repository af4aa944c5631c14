// SPDX-License-Identifier: MIT
// Translates AMD-V's exits into neutral ones (APM vol. 2, appendix C).
#include "kernel/x86/svm/svm.h"
#include "lib/string.h"

const u8 svm_plain_exits[SVM_PLAIN_EXITS] = {
	[VMEXIT_CR_WRITE(8)] = EXIT_CR8_WRITE,
	[VMEXIT_NMI] = EXIT_NMI,
	[VMEXIT_INIT] = EXIT_INIT,
	[VMEXIT_VINTR] = EXIT_IRQ_WINDOW,
	[VMEXIT_RDPMC] = EXIT_PROTECTION,
	[VMEXIT_CPUID] = EXIT_CPUID,
	[VMEXIT_RSM] = EXIT_UNDEFINED,
	[VMEXIT_INVD] = EXIT_WBINVD,
	[VMEXIT_PAUSE] = EXIT_PAUSE,
	[VMEXIT_HLT] = EXIT_HLT,
	[VMEXIT_INVLPGA] = EXIT_UNDEFINED,
	[VMEXIT_SHUTDOWN] = EXIT_TRIPLE_FAULT,
	[VMEXIT_VMRUN] = EXIT_UNDEFINED,
	[VMEXIT_VMMCALL] = EXIT_HYPERCALL,
	[VMEXIT_VMLOAD] = EXIT_UNDEFINED,
	[VMEXIT_VMSAVE] = EXIT_UNDEFINED,
	[VMEXIT_STGI] = EXIT_UNDEFINED,
	[VMEXIT_CLGI] = EXIT_UNDEFINED,
	[VMEXIT_SKINIT] = EXIT_UNDEFINED,
	[VMEXIT_WBINVD] = EXIT_WBINVD,
	[VMEXIT_MONITOR] = EXIT_UNDEFINED,
	[VMEXIT_MWAIT] = EXIT_UNDEFINED,
	[VMEXIT_XSETBV] = EXIT_XSETBV,
	[VMEXIT_RDPRU] = EXIT_UNDEFINED,
};

static void decode_npf(const struct vmcb *b, struct hvm_exit *out)
{
	u64 info = b->exit_info1;

	out->reason = EXIT_GMAP_FAULT;
	out->fault.addr = gpa(b->exit_info2);
	out->fault.access = info & NPF_FETCH   ? ACCESS_EXEC
			    : info & NPF_WRITE ? ACCESS_WRITE
					       : ACCESS_READ;
	out->fault.present = info & NPF_PRESENT;
	out->fault.walk = info & NPF_WALK;
	out->fault.bytes = 0;
	if (svm_features.decode_assists && b->insn_length <= sizeof(out->fault.insn)) {
		out->fault.bytes = b->insn_length;
		memcpy(out->fault.insn, b->insn, sizeof(out->fault.insn));
	}
}

static void decode_ioio(const struct vmcb *b, struct hvm_exit *out)
{
	u64 info = b->exit_info1;

	out->reason = EXIT_IO;
	out->io.port = (u16)(info >> 16);
	out->io.size = (u8)(info >> 4 & 7);
	out->io.in = info & IOIO_IN;
	out->io.string = info & IOIO_STRING;
	out->io.rep = info & IOIO_REP;
	out->io.addr_size = (u8)((info >> 7 & 7) << 1);
	out->io.segment = svm_features.decode_assists ? (u8)(info >> 10 & 7) : SEG_COUNT;
	out->io.next_rip = b->exit_info2;
}

static void decode_exception(const struct vmcb *b, struct hvm_exit *out)
{
	out->reason = EXIT_EXCEPTION;
	out->exception.vector = (u8)(b->exit_code - VMEXIT_EXCEPTION);
	out->exception.has_error =
		BIT(out->exception.vector) & 0x27d00; // #DF #TS #NP #SS #GP #PF #AC
	out->exception.error = (u32)b->exit_info1;
}

static void decode_interrupt(struct vcpu *v, struct hvm_exit *out)
{
	out->reason = EXIT_INTERRUPT;
	if (svm_of(v)->beats != READ_ONCE(emulator_beats))
		emulator_retranslate(v);
}

static void decode_special(struct vcpu *v, u32 code, struct hvm_exit *out)
{
	const struct vmcb *b = vmcb_of(v);

	if (svm_of(v)->nmi_masked && svm_nmi_ends(v))
		out->reason = EXIT_NMI_WINDOW;
	else if (code == VMEXIT_INVALID)
		out->reason = EXIT_INVALID;
	else if (code - VMEXIT_EXCEPTION < 32)
		decode_exception(b, out);
	else
		out->reason = EXIT_UNKNOWN;
}

void svm_exit_decode(struct vcpu *v, struct hvm_exit *out)
{
	const struct vmcb *b = vmcb_of(v);
	u32 code = (u32)b->exit_code;

	if (code == VMEXIT_MSR)
		out->reason = b->exit_info1 & 1 ? EXIT_WRMSR : EXIT_RDMSR;
	else if (code == VMEXIT_NPF)
		decode_npf(b, out);
	else if (code == VMEXIT_IOIO)
		decode_ioio(b, out);
	else if (code == VMEXIT_INTR)
		decode_interrupt(v, out);
	else
		decode_special(v, code, out);
}
