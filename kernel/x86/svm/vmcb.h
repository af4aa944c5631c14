// SPDX-License-Identifier: MIT
// The virtual machine control block of AMD-V and the codes in it. Source: AMD64 Architecture
// Programmer's Manual volume 2, appendices B (layout) and C (exit codes).
#pragma once

#include "lib/types.h"

struct vmcb_segment {
	u16 selector;
	u16 attr; // descriptor bits 40-47 and 52-55, packed into 12 bits
	u32 limit;
	u64 base;
};

struct vmcb {
	// Control area.
	u16 cr_read; // 0x000: intercepts of CRn
	u16 cr_write;
	u16 dr_read;
	u16 dr_write;
	u32 exceptions; // 0x008
	u32 intercept1; // 0x00c
	u32 intercept2; // 0x010
	u8 reserved1[0x03c - 0x014];
	u16 pause_threshold; // 0x03c
	u16 pause_count;
	u64 iopm;  // 0x040
	u64 msrpm; // 0x048
	u64 tsc_offset;
	u32 asid; // 0x058
	u8 tlb_control;
	u8 reserved2[3];
	u32 int_ctl; // 0x060: V_TPR, V_IRQ, V_INTR_PRIO, V_IGN_TPR, V_INTR_MASKING
	u32 int_vector;
	u64 int_state; // 0x068: bit 0 interrupt shadow
	u64 exit_code; // 0x070
	u64 exit_info1;
	u64 exit_info2;
	u64 exit_int_info; // 0x088
	u64 nested_ctl;    // 0x090: bit 0 NP_ENABLE
	u8 reserved3[0x0a8 - 0x098];
	u64 event_inj; // 0x0a8
	u64 nested_cr3;
	u64 virt_ext; // 0x0b8
	u32 clean;    // 0x0c0
	u32 reserved4;
	u64 next_rip;   // 0x0c8
	u8 insn_length; // 0x0d0: bytes fetched
	u8 insn[15];
	u8 reserved5[0x400 - 0x0e0];

	// State save area.
	struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr; // 0x400
	u8 reserved6[0x4cb - 0x4a0];
	u8 cpl; // 0x4cb
	u32 reserved7;
	u64 efer; // 0x4d0
	u8 reserved8[0x548 - 0x4d8];
	u64 cr4; // 0x548
	u64 cr3;
	u64 cr0;
	u64 dr7;
	u64 dr6;
	u64 rflags; // 0x570
	u64 rip;
	u8 reserved9[0x5d8 - 0x580];
	u64 rsp; // 0x5d8
	u8 reserved10[0x5f8 - 0x5e0];
	u64 rax; // 0x5f8
	u64 star;
	u64 lstar;
	u64 cstar;
	u64 sfmask;
	u64 kernel_gs_base;
	u64 sysenter_cs;
	u64 sysenter_esp;
	u64 sysenter_eip;
	u64 cr2; // 0x640
	u8 reserved11[0x668 - 0x648];
	u64 pat; // 0x668
	u64 debugctl;
	u8 reserved12[0x1000 - 0x678];
};

_Static_assert(offsetof(struct vmcb, int_ctl) == 0x060, "APM appendix B");
_Static_assert(offsetof(struct vmcb, event_inj) == 0x0a8, "APM appendix B");
_Static_assert(offsetof(struct vmcb, insn_length) == 0x0d0, "APM appendix B");
_Static_assert(offsetof(struct vmcb, cpl) == 0x4cb, "APM appendix B");
_Static_assert(offsetof(struct vmcb, efer) == 0x4d0, "APM appendix B");
_Static_assert(offsetof(struct vmcb, rflags) == 0x570, "APM appendix B");
_Static_assert(offsetof(struct vmcb, rax) == 0x5f8, "APM appendix B");
_Static_assert(offsetof(struct vmcb, pat) == 0x668, "APM appendix B");
_Static_assert(sizeof(struct vmcb) == 4096, "APM appendix B");

// intercept1
#define INTERCEPT_INTR     BIT(0)
#define INTERCEPT_NMI      BIT(1)
#define INTERCEPT_INIT     BIT(3)
#define INTERCEPT_VINTR    BIT(4)
#define INTERCEPT_RDPMC    BIT(15)
#define INTERCEPT_CPUID    BIT(18)
#define INTERCEPT_RSM      BIT(19)
#define INTERCEPT_IRET     BIT(20)
#define INTERCEPT_INVD     BIT(22)
#define INTERCEPT_PAUSE    BIT(23)
#define INTERCEPT_HLT      BIT(24)
#define INTERCEPT_INVLPGA  BIT(26)
#define INTERCEPT_IOIO     BIT(27)
#define INTERCEPT_MSR      BIT(28)
#define INTERCEPT_SHUTDOWN BIT(31)

// intercept2
#define INTERCEPT_VMRUN   BIT(0)
#define INTERCEPT_VMMCALL BIT(1)
#define INTERCEPT_VMLOAD  BIT(2)
#define INTERCEPT_VMSAVE  BIT(3)
#define INTERCEPT_STGI    BIT(4)
#define INTERCEPT_CLGI    BIT(5)
#define INTERCEPT_SKINIT  BIT(6)
#define INTERCEPT_WBINVD  BIT(9)
#define INTERCEPT_MONITOR BIT(10)
#define INTERCEPT_MWAIT   BIT(11)
#define INTERCEPT_XSETBV  BIT(13)
#define INTERCEPT_RDPRU   BIT(14)

// int_ctl
#define INT_CTL_TPR_MASK 0x0fu
#define INT_CTL_IRQ      (1u << 8)
#define INT_CTL_PRIO_MAX (15u << 16)
#define INT_CTL_IGN_TPR  (1u << 20)
#define INT_CTL_MASKING  (1u << 24)

// exceptions: they exit
#define EXCEPTIONS_INTERCEPTED (1u << VECTOR_DB | 1u << VECTOR_AC | 1u << VECTOR_MC)

// event_inj and exit_int_info
#define EVENT_TYPE_INTR      (0ull << 8)
#define EVENT_TYPE_NMI       (2ull << 8)
#define EVENT_TYPE_EXCEPTION (3ull << 8)
#define EVENT_TYPE_SOFT      (4ull << 8)
#define EVENT_TYPE_MASK      (7ull << 8)
#define EVENT_HAS_ERROR      BIT(11)
#define EVENT_VALID          BIT(31)

// exit_code
#define VMEXIT_CR_WRITE(n) (0x010u + (n))
#define VMEXIT_EXCEPTION   0x040u // + vector, 0..31
#define VMEXIT_INTR        0x060u
#define VMEXIT_NMI         0x061u
#define VMEXIT_INIT        0x063u
#define VMEXIT_VINTR       0x064u
#define VMEXIT_RDPMC       0x06fu
#define VMEXIT_CPUID       0x072u
#define VMEXIT_RSM         0x073u
#define VMEXIT_IRET        0x074u
#define VMEXIT_INVD        0x076u
#define VMEXIT_PAUSE       0x077u
#define VMEXIT_HLT         0x078u
#define VMEXIT_INVLPGA     0x07au
#define VMEXIT_IOIO        0x07bu
#define VMEXIT_MSR         0x07cu
#define VMEXIT_SHUTDOWN    0x07fu
#define VMEXIT_VMRUN       0x080u
#define VMEXIT_VMMCALL     0x081u
#define VMEXIT_VMLOAD      0x082u
#define VMEXIT_VMSAVE      0x083u
#define VMEXIT_STGI        0x084u
#define VMEXIT_CLGI        0x085u
#define VMEXIT_SKINIT      0x086u
#define VMEXIT_WBINVD      0x089u
#define VMEXIT_MONITOR     0x08au
#define VMEXIT_MWAIT       0x08bu
#define VMEXIT_XSETBV      0x08du
#define VMEXIT_RDPRU       0x08eu
#define VMEXIT_NPF         0x400u
#define VMEXIT_INVALID     0xffffffffu // in 64 bits on hardware, in 32 on QEMU

// exit_info1 of VMEXIT_NPF
#define NPF_PRESENT BIT(0)
#define NPF_WRITE   BIT(1)
#define NPF_FETCH   BIT(4)
#define NPF_FINAL   BIT(32) // the guest's own access
#define NPF_WALK    BIT(33) // the walk of the guest's page tables

// exit_info1 of VMEXIT_IOIO
#define IOIO_IN     BIT(0)
#define IOIO_STRING BIT(2)
#define IOIO_REP    BIT(3)
