// SPDX-License-Identifier: MIT
// The seam to the processor's virtualization extension: one table of operations, svm/ (AMD-V) or
// vmx/ (VT-x). A vendor translates hardware exits into struct hvm_exit and back; everything else is
// shared.
#pragma once

#include "lib/addr.h"

struct vcpu;
struct gmap;

// Order of the general registers: as in instruction encodings.
enum gpr {
	RAX,
	RCX,
	RDX,
	RBX,
	RSP,
	RBP,
	RSI,
	RDI,
	R8,
	R9,
	R10,
	R11,
	R12,
	R13,
	R14,
	R15,
	GPR_COUNT
};

// What the vendor keeps in its control structure and the neutral code reads or writes now and then.
enum hvm_reg {
	HVM_CR0,
	HVM_CR2,
	HVM_CR3,
	HVM_CR4,
	HVM_EFER,
	HVM_DR6,
	HVM_DR7,
	HVM_PAT,
	HVM_FS_BASE,
	HVM_GS_BASE,
	HVM_KERNEL_GS_BASE,
	HVM_STAR,
	HVM_LSTAR,
	HVM_CSTAR,
	HVM_SFMASK,
	HVM_SYSENTER_CS,
	HVM_SYSENTER_ESP,
	HVM_SYSENTER_EIP,
	HVM_DEBUGCTL,
	HVM_REG_COUNT
};

// The first six are numbered as in instruction encodings.
enum hvm_seg {
	SEG_ES,
	SEG_CS,
	SEG_SS,
	SEG_DS,
	SEG_FS,
	SEG_GS,
	SEG_LDTR,
	SEG_TR,
	SEG_GDTR,
	SEG_IDTR,
	SEG_COUNT
};

// Attributes as in a descriptor's bytes 5 and 6: type 0-3, S 4, DPL 5-6, P 7, AVL 8, L 9, D 10, G
// 11.
struct hvm_segment {
	u16 selector;
	u16 attr;
	u32 limit; // in bytes
	u64 base;
};

// What addresses of the guest mean now.
struct hvm_paging {
	u64 cr0, cr3, cr4, efer;
	u64 cs_base;
	u16 cs_attr; // as in struct hvm_segment
	u8 cpl;
};

enum exit_reason {
	EXIT_INTERRUPT,  // a physical interrupt is pending
	EXIT_NMI,        // a physical NMI
	EXIT_IRQ_WINDOW, // the guest can take an interrupt now
	EXIT_NMI_WINDOW, // the guest can take an NMI now
	EXIT_GMAP_FAULT,
	EXIT_IO,
	EXIT_CPUID,
	EXIT_RDMSR,
	EXIT_WRMSR,
	EXIT_HYPERCALL,
	EXIT_HLT,
	EXIT_PAUSE,
	EXIT_CR8_WRITE,
	EXIT_XSETBV,
	EXIT_WBINVD,
	EXIT_UNDEFINED,  // an instruction that the guest does not have: #UD
	EXIT_PROTECTION, // an instruction that the guest may not use: #GP(0)
	EXIT_EXCEPTION,  // an intercepted exception
	EXIT_TRIPLE_FAULT,
	EXIT_INIT,    // a physical INIT
	EXIT_INVALID, // the processor refused the guest's state
	EXIT_UNKNOWN,
	EXIT_REASONS
};

#define EXIT_REASON_NAMES                                                                          \
	{                                                                                          \
		"interrupt", "nmi", "irq_window", "nmi_window", "gmap_fault", "io", "cpuid",       \
			"rdmsr", "wrmsr", "hypercall", "hlt", "pause", "cr8_write", "xsetbv",      \
			"wbinvd", "undefined", "protection", "exception", "triple_fault", "init",  \
			"invalid", "unknown",                                                      \
	}

enum gmap_access { ACCESS_READ = 1, ACCESS_WRITE = 2, ACCESS_EXEC = 4 };

struct hvm_exit {
	enum exit_reason reason;
	u8 length; // of the instruction; 0: the processor did not say
	u64 code;  // the vendor's own code, for messages
	union {
		struct {
			u16 port;
			u8 size;
			bool in;
			bool string;
			bool rep;
			u8 segment; // of a string OUT, enum hvm_seg, where the processor says; else SEG_COUNT
			u8 addr_size; // of a string access: 2, 4, 8
			u64 next_rip; // 0: unknown
		} io;
		struct {
			gpa_t addr;
			u8 access;    // set of enum gmap_access
			bool present; // a mapping was there, the access was not allowed
			bool walk;    // the access came from the walk of the guest's page tables
			u8 bytes;     // instruction bytes the processor gave, 0: none
			u8 insn[15];
		} fault;
		struct {
			u8 vector;
			bool has_error;
			u32 error;
		} exception;
	};
};

// An event to be delivered when the guest is entered.
enum hvm_event_type { EVENT_IRQ, EVENT_NMI, EVENT_EXCEPTION, EVENT_SOFT };

struct hvm_ops {
	const char *name;

	bool (*probe)(void);    // is it there and fit for use? logs why not
	int (*cpu_init)(void);  // on each CPU, once
	void (*cpu_exit)(void); // on each CPU before power-off or reset

	int (*vcpu_create)(
		struct vcpu *v); // 0 or -ENOMEM; on its VM's gmap and TSC; state as after power-on
	void (*vcpu_destroy)(struct vcpu *v);
	void (*vcpu_reset)(struct vcpu *v); // registers as after INIT

	// Runs the guest until it exits. vcpu->gpr, rip, rflags hold the guest's registers before
	// and after. Called and left with interrupts off. Nothing of the host's but the FPU, XCR0
	// and debug registers is the guest's then.
	void (*enter)(struct vcpu *v, struct hvm_exit *out);

	u64 (*reg_get)(const struct vcpu *v, enum hvm_reg r);
	void (*reg_set)(struct vcpu *v, enum hvm_reg r, u64 value);
	void (*paging_get)(const struct vcpu *v, struct hvm_paging *out);
	void (*seg_get)(const struct vcpu *v, unsigned s, struct hvm_segment *out);
	void (*seg_set)(struct vcpu *v, unsigned s, const struct hvm_segment *in);

	// Events. `can_irq`: RFLAGS.IF and no shadow; `can_nmi`: not within an NMI or a shadow. The
	// shadow of STI or MOV SS ends when rip has moved since the exit: the instruction behind
	// was emulated.
	void (*inject)(
		struct vcpu *v, enum hvm_event_type type, u8 vector, bool has_error, u32 error);
	bool (*injecting)(
		const struct vcpu *v); // something will be delivered at the next entry already
	bool (*can_irq)(const struct vcpu *v);
	bool (*can_nmi)(const struct vcpu *v);
	void (*irq_window)(struct vcpu *v, bool on); // exit when the guest can take an interrupt
	void (*nmi_window)(struct vcpu *v, bool on);

	void (*tpr_set)(struct vcpu *v, u8 tpr); // CR8 as the guest reads it
	// Before the next entry all cached translations of the guest are dropped; also when it
	// comes to another CPU.
	void (*flush)(struct vcpu *v);

	// Format of second-level table entries; levels and index bits are those of x86-64 paging.
	u64 pte_table;    // bits of an entry that points to a table
	u64 pte_leaf_rwx; // bits of a leaf, write-back memory
	u64 pte_large;    // and of one above the last level
};

extern const struct hvm_ops *hvm;
extern const struct hvm_ops svm_ops;

// Chooses the table for this machine and readies this CPU; panics with a clear message when none
// fits. Boot only.
void hvm_init(void);

// Readies another CPU. Boot only.
void hvm_init_cpu(void);
