// SPDX-License-Identifier: MIT
// A virtual CPU.
//
// Life:  WAIT_SIPI <-> RUN  by INIT and SIPI (vcpu 0 begins in RUN); the scheduler's states are its
// own (sched.h).
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
	VCPU_FLUSH = 1 << 3, // drop cached translations, the processor's and ours
	VCPU_STOP = 1 << 4,  // the VM is being stopped: leave
	VCPU_LAPIC = 1 << 5, // look at the vlapic for something to inject
	VCPU_PAUSE = 1 << 6, // the VM is paused: sleep until this is taken back
};

enum vcpu_mode { VCPU_RUN, VCPU_WAIT_SIPI };

// A guest page that was used a moment ago: its guest-physical address and where it is.
struct ram_cache {
	u64 gpa;
	u8 *page; // NULL: empty
};

// The page of code that the guest was last seen executing. It is good while CR3 and the entry of
// the last level are what they were, which is looked up each time. A guest that changes an upper
// level, and flushes only by INVLPG, may have the length of an instruction taken from the page
// before.
struct code_cache {
	u64 linear; // of the page
	u64 cr3;
	const u64 *entry;
	u64 entry_value;
	const u8 *page; // NULL: empty
};

struct vcpu {
	u64 gpr[GPR_COUNT];  // o
	u64 rip, rflags;     // o
	struct vm *vm;       // c
	u32 id;              // c: index in the VM
	enum vcpu_mode mode; // o
	u64 events;          // a: set of enum vcpu_event
	u64 deferred;        // o: those of them that wait for the guest to be able to take them
	u8 sipi_vector;      // a: valid while VCPU_SIPI is set

	struct sched_vcpu sched;
	struct pcpu *loaded_on; // a: where its register state is in a processor; NULL: in memory
	struct pcpu *ran_on;    // o: the CPU that it was loaded on last
	bool halted;            // o: in HLT, until something is delivered
	u64 in_guest; // a: it is in the guest or about to enter it: a kick needs an interrupt
	void *arch;   // c: the vendor's control structure
	void *xstate; // c: FPU and extended state while not loaded
	u64 xcr0;     // o
	u64 dr[4];    // o
	u64 tsc_aux;  // o

	struct vlapic lapic;
	struct vpv pv;

	struct ram_cache ram_cache[16]; // o
	struct code_cache code;         // o

	u64 exits[EXIT_REASONS]; // o, read by others as they are
	u64 msr_refused;         // o: accesses to MSRs that the guest does not have
	u64 mtrr_def_type, mtrr_fixed[11], mtrr_var[16]; // o: kept for the guest, no effect
};

// Something changed that the vcpu must look at (an event bit or its vlapic): wakes it if it sleeps,
// makes it leave the guest if it runs. The event is published before the call. Any CPU; takes
// LOCK_SCHED.
void vcpu_kick(struct vcpu *v);

// Sets event bits and kicks.
void vcpu_post(struct vcpu *v, u64 events);

// 0 or -ENOMEM. The vcpu sleeps in the scheduler; vcpu 0 is in VCPU_RUN, the others wait for SIPI.
int vcpu_create(struct vm *vm, u32 id);
void vcpu_destroy(struct vcpu *v); // its scheduler state is OFF
void vcpu_reset(struct vcpu *v);   // as after power-on
void vcpu_forget(struct vcpu *v);  // drops ram_cache and code; owner

// Puts the vcpu's state into this CPU's registers, out of the CPU's last one; NULL: only the
// latter. For pcpu_loop.
void vcpu_switch(struct vcpu *v);

// Runs the vcpu, which is switched in, until this CPU has other work or the vcpu sleeps or ends.
// For pcpu_loop.
void vcpu_run(struct vcpu *v);

// The instruction at rip is done; moves past it. Its length is taken from the exit or decoded.
void vcpu_skip(struct vcpu *v, const struct hvm_exit *exit);

// Raises an exception in the guest at its current instruction.
void vcpu_fault(struct vcpu *v, u8 vector, bool has_error, u32 error);

// What is done about an exit, by its reason (exits.c).
typedef void exit_handler(struct vcpu *v, struct hvm_exit *exit);
extern exit_handler *const exit_handlers[EXIT_REASONS];

// The guest sleeps until there is something for it (HLT).
void vcpu_halt(struct vcpu *v);
