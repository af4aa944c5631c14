// SPDX-License-Identifier: MIT
// A virtual CPU.
//
// Life:  WAIT_SIPI <-> RUN  by INIT and SIPI (vcpu 0 begins in RUN); the scheduler's states are its own (sched.h).
//
// Fields: (o) only the CPU that runs the vcpu; (a) atomic, any CPU; (c) constant after creation.
#pragma once

#include "kernel/core/sched.h"
#include "kernel/core/timer.h"
#include "kernel/vm/decode.h"
#include "kernel/vm/vlapic.h"
#include "kernel/vm/vpv.h"
#include "kernel/x86/hvm.h"

struct vm;

enum vcpu_event { // bits of vcpu->events
	VCPU_NMI = 1 << 0,
	VCPU_INIT = 1 << 1,
	VCPU_SIPI = 1 << 2,
	VCPU_FLUSH = 1 << 3,  // drop cached translations
	VCPU_STOP = 1 << 4,   // the VM is being stopped: leave
	VCPU_LAPIC = 1 << 5,  // look at the vlapic for something to inject
};

enum vcpu_mode { VCPU_RUN, VCPU_WAIT_SIPI };

struct vcpu {
	u64 gpr[GPR_COUNT];       // o
	u64 rip, rflags;          // o
	struct vm *vm;            // c
	u32 id;                   // c: index in the VM; its APIC id
	enum vcpu_mode mode;      // o
	u64 events;               // a: set of enum vcpu_event
	u8 sipi_vector;           // a: valid while VCPU_SIPI is set

	struct sched_vcpu sched;
	struct pcpu *loaded_on;   // where its register state is in a processor; NULL: in memory
	void *arch;               // c: the vendor's control structure
	void *xstate;             // c: FPU and extended state while not loaded
	u64 xcr0;                 // o
	u64 dr[4];                // o
	u64 tsc_aux;              // o

	struct vlapic lapic;
	struct vpv pv;

	u64 exits[EXIT_REASONS];  // o, read by others as they are
	u64 msr_refused;          // o: accesses to MSRs that the guest does not have
	u64 mtrr_def_type, mtrr_fixed[11], mtrr_var[16]; // o: kept for the guest, no effect
	u64 misc_enable;          // o
	u64 tsc_adjust;           // o
};

// Something changed that the vcpu must look at (an event bit or its vlapic): wakes it if it sleeps, makes it leave
// the guest if it runs. The event is published before the call. Any CPU; takes LOCK_SCHED.
void vcpu_kick(struct vcpu *v);

// Sets event bits and kicks.
void vcpu_post(struct vcpu *v, u64 events);
