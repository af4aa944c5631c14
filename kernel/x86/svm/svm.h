// SPDX-License-Identifier: MIT
// What the files of the AMD-V back-end share.
#pragma once

#include "kernel/vm/vcpu.h"
#include "kernel/x86/svm/vmcb.h"

struct svm_vcpu {
	struct vmcb *vmcb;
	u64 vmcb_pa;
	u64 asid_generation; // of the CPU it was given its ASID on
	bool nmi_masked;     // within an NMI handler: until its IRET is done
	bool nmi_step;       // stepping over that IRET
	u32 emulator;        // set of EMULATOR_*: what the next exit means on QEMU
	u32 beats;           // of emulator_beats, when emulator_retranslate was called
};

// Per physical CPU.
struct svm_cpu {
	u64 host_vmcb_pa; // VMSAVE area of the host's hidden state
	u64 generation;
	u32 next_asid;
};

extern struct svm_cpu svm_cpus[];
extern u32 svm_asids; // ASIDs are 1 .. svm_asids - 1

struct svm_features {
	bool next_rip;       // nRIP save
	bool decode_assists; // instruction bytes and operands
	bool pause_filter;
	bool emulated;         // the processor is QEMU's TCG
	bool loses_interrupts; // and it runs more than one thread
};
extern struct svm_features svm_features;

static inline struct svm_vcpu *svm_of(const struct vcpu *v)
{
	return v->arch;
}
static inline struct vmcb *vmcb_of(const struct vcpu *v)
{
	return svm_of(v)->vmcb;
}

// Is the guest in the shadow of STI or MOV SS? Not any more when the instruction behind it was
// emulated.
static inline bool svm_shadow(const struct vcpu *v)
{
	const struct vmcb *b = vmcb_of(v);

	return (b->int_state & 1) && b->rip == v->rip;
}

// Exits whose neutral form is just a reason, never EXIT_INTERRUPT; 0: not one of these
// (svm_exit.c).
#define SVM_PLAIN_EXITS (VMEXIT_RDPRU + 1)
extern const u8 svm_plain_exits[SVM_PLAIN_EXITS];

// Translates the other exits: fills all but code and length.
void svm_exit_decode(struct vcpu *v, struct hvm_exit *out);

// The permission maps, one for all VMs (svm_maps.c). 0 or -ENOMEM.
int svm_maps_init(void);
extern u64 svm_iopm_pa, svm_msrpm_pa;
u64 svm_iopm(const struct vm *vm); // which of its ports' accesses exit

// svm_entry.S: enters the guest and comes back at its exit. GPRs other than RAX and RSP go through
// gpr[].
void svm_run(u64 vmcb_pa, u64 *gpr, u64 host_vmcb_pa);

// svm_state.c
u64 svm_reg_get(const struct vcpu *v, enum hvm_reg r);
void svm_reg_set(struct vcpu *v, enum hvm_reg r, u64 value);
void svm_paging_get(const struct vcpu *v, struct hvm_paging *out);
void svm_seg_get(const struct vcpu *v, unsigned s, struct hvm_segment *out);
void svm_seg_set(struct vcpu *v, unsigned s, const struct hvm_segment *in);
void svm_vcpu_reset(struct vcpu *v);

// svm_event.c
void svm_inject(struct vcpu *v, enum hvm_event_type type, u8 vector, bool has_error, u32 error);
bool svm_injecting(const struct vcpu *v);
bool svm_can_irq(const struct vcpu *v);
bool svm_can_nmi(const struct vcpu *v);
void svm_irq_window(struct vcpu *v, bool on);
void svm_nmi_window(struct vcpu *v, bool on);
bool svm_nmi_ends(struct vcpu *v);

// svm_emulator.c
enum {
	EMULATOR_OFFER = 1,  // an interrupt is on offer by V_IRQ, until it was delivered
	EMULATOR_WINDOW = 2, // a window is wanted after that
	EMULATOR_SHADOW = 4, // the guest was entered in an interrupt shadow
	EMULATOR_HIDDEN = 8, // V_IRQ waits for the shadow's end
	EMULATOR_STEP = 16,  // which RFLAGS.TF shows
};
void emulator_offer(struct vcpu *v, u8 vector);
void emulator_withdraw(struct vcpu *v);    // nothing is on offer, for a reset
void emulator_shadow(struct vcpu *v);      // about to enter the guest in an interrupt shadow
void emulator_beat_start(void);            // on CPU 0
extern u32 emulator_beats;                 // so far
void emulator_retranslate(struct vcpu *v); // after an exit, once for each beat
void emulator_exit(struct vcpu *v); // after an exit, `emulator` being set; v->rip as at the entry
