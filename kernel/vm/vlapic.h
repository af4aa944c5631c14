// SPDX-License-Identifier: MIT
// The local APIC of a virtual CPU: xAPIC and x2APIC registers, priorities, timer and messages (Intel SDM 3A, ch. 10).
//
// Fields of struct vlapic:
//   (a) atomic, any CPU;
//   (r) written by the owner, read by any CPU as one word that may be a moment old (to match a destination);
//   (o) the owner only.
// The owner is the CPU that runs the vcpu, and while the vcpu does not run (before its start, after its end) whoever
// creates, resets or destroys it. Between two CPUs the scheduler's lock orders the owner's accesses.
//
// What the run loop must do: clear VCPU_LAPIC in vcpu->events, then ask vlapic_irq_pending(), then enter. The bit is
// set whenever the answer may have changed. Before it lets a vcpu sleep in HLT it looks at `events` once more.
#pragma once

#include "kernel/core/timer.h"
#include "lib/addr.h"

struct vcpu;
struct vm;

// The timer counts at this rate, whatever the TSC's: a guest calibrates it, or reads CPUID 0x40000010.
#define VLAPIC_TIMER_HZ      1000000000ull
// A periodic timer goes off at most this often; a shorter period is stretched to it.
#define VLAPIC_PERIOD_MIN_NS 50000ull

#define VLAPIC_LVTS 6

struct vlapic {
	u64 base;             // r: IA32_APIC_BASE
	u64 irr[4];           // a: interrupts that have come
	u64 tmr[4];           // a: those that are level triggered
	u64 isr[4];           // o: interrupts in service
	int isr_top;          // o: the highest of them, -1: none
	u8 tpr, ppr;          // o
	u32 svr, ldr, dfr;    // r
	u32 lvt[VLAPIC_LVTS]; // r
	u32 esr;              // o
	u32 esr_pending;      // a: errors since ESR was last written
	u64 icr;              // o: as last written
	u32 timer_dcr;        // o
	u32 timer_initial;    // o: initial count, 0: stopped
	u64 timer_start;      // o, and the timer: host ticks when the count was loaded
	u64 timer_period;     // o, and the timer: host ticks from there to 0
	u64 timer_deadline;   // o: IA32_TSC_DEADLINE as written, guest ticks
	struct timer timer;
};

// Once for a vcpu, before all else here; then vlapic_reset(v, false). Destroy waits until its timer does not fire.
void vlapic_init(struct vcpu *v);
void vlapic_destroy(struct vcpu *v);

// State after power-on, or after INIT, which leaves the APIC's base and mode as they are (SDM 10.4.7, 10.12.5.1). Owner;
// no lock of rank LOCK_SCHED or above. LINT0 of vcpu 0 is then ExtINT and open, as firmware would leave it.
void vlapic_reset(struct vcpu *v, bool init);

// MSRs 0x1b, 0x6e0, 0x800-0x8ff. 0 or -EINVAL: #GP. Owner, no lock held.
int vlapic_msr_read(struct vcpu *v, u32 msr, u64 *value);
int vlapic_msr_write(struct vcpu *v, u32 msr, u64 value);

// The register page. A read of what is not there gives 0; offset is below 4096. Owner, no lock held.
u32 vlapic_mmio_read(struct vcpu *v, u32 offset);
void vlapic_mmio_write(struct vcpu *v, u32 offset, u32 value);

// Is the register page there (xAPIC mode), and where?
bool vlapic_mmio_enabled(const struct vcpu *v, gpa_t *base);

// The highest vector that may be delivered now, by the processor's priority; -1: none. Owner.
int vlapic_irq_pending(const struct vcpu *v);

// The interrupt that vlapic_irq_pending named is being delivered: it is in service from now on. Owner.
void vlapic_irq_accept(struct vcpu *v, u8 vector);

// Ends the highest interrupt in service. Owner, no lock held (takes LOCK_VM for a level-triggered one).
void vlapic_eoi(struct vcpu *v);

// Is there an interrupt in service whose end nobody has to hear of (edge triggered, nothing waits behind it)? Owner.
bool vlapic_eoi_is_silent(const struct vcpu *v);

// Does an interrupt of the PIC reach this vcpu (LINT0 is ExtINT and open, or the APIC is globally off)?
bool vlapic_accepts_extint(const struct vcpu *v);

// Task priority, 0-255 (CR8 is its upper half). Owner.
u8 vlapic_tpr(const struct vcpu *v);
void vlapic_tpr_set(struct vcpu *v, u8 tpr);

// An interrupt comes in; false: the APIC is disabled or the vector is illegal. Any CPU, locks below LOCK_SCHED.
// One whose vector is pending already merges with it.
bool vlapic_set_irq(struct vcpu *v, u8 vector, bool level);

enum apic_mode { // delivery modes, as encoded
	APIC_FIXED,
	APIC_LOWEST,
	APIC_SMI,
	APIC_READ,
	APIC_NMI,
	APIC_INIT,
	APIC_STARTUP,
	APIC_EXTINT
};

#define APIC_BROADCAST 0xffffffffu

struct apic_message {
	u32 dest; // APIC id, or a logical destination; APIC_BROADCAST: all
	bool logical;
	bool level;
	u8 mode; // enum apic_mode
	u8 vector;
};

// A destination field of 8 bits (IOAPIC, MSI, xAPIC's ICR) as apic_message.dest.
static inline u32 apic_dest8(u8 dest)
{
	return dest == 0xff ? APIC_BROADCAST : dest;
}

// Delivers to all that the destination names; a lowest-priority message to one of them, chosen by its vector, so that
// vectors spread over CPUs and a run repeats. True when one accepted it. SMI, READ and EXTINT go nowhere.
// Any CPU, locks below LOCK_SCHED.
bool vlapic_deliver(struct vm *vm, const struct apic_message *m);

// The same to an explicit set of vcpus, bit i for vcpus[i]. Returns how many accepted.
u32 vlapic_deliver_mask(struct vm *vm, u64 vcpus, const struct apic_message *m);

// A message-signalled interrupt: data is written to addr (SDM 10.11). What does not go to 0xfeexxxxx is ignored.
void vlapic_msi(struct vm *vm, u64 addr, u32 data);
