// SPDX-License-Identifier: MIT
// A virtual machine.
//
// Life:  CREATING -> RUNNING -> STOPPING -> (destroyed, or reset and RUNNING again) STOPPING is
// entered once, by whoever first calls vm_stop; all vcpus then leave the scheduler, and the last
// step is done by the reaper on one CPU (vm_reap), which gives back every frame.
//
// Fields: (v) under lock, rank LOCK_VM; (c) constant after creation; (a) atomic.
#pragma once

#include "kernel/core/bundle.h"
#include "kernel/core/spinlock.h"
#include "kernel/vm/gmap.h"
#include "kernel/vm/machine.h"
#include "kernel/vm/pc.h"
#include "kernel/vm/vcpu.h"
#include "kernel/vm/vm_console.h"

enum vm_state { VM_CREATING, VM_RUNNING, VM_STOPPING };

enum vm_end {
	VM_END_NONE,
	VM_END_CLAIMED,
	VM_END_POWEROFF,
	VM_END_RESET,
	VM_END_EXIT,
	VM_END_STOPPED
};

struct vm {
	u16 id;                           // c: 1.., owner of its frames
	unsigned index;                   // c: in the configuration; its console's number
	const struct bundle_vm *config;   // c
	char name[BUNDLE_NAME_MAX + 1];   // c
	const struct vm_machine *machine; // c: the root VM's; NULL: all of its hardware is virtual
	struct list link;                 // in the list of VMs

	u64 state;         // a: enum vm_state
	u64 end;           // a: enum vm_end, written once
	u32 exit_code;     // of VM_END_EXIT
	u64 cause_claimed; // a: somebody has written, or writes, cause
	char cause[128];   // of VM_END_STOPPED, written before `end`
	u64 vcpus_gone;    // a: vcpus that have left the scheduler for good
	u64 finishable;    // a: all have; the reaper may take it
	bool paused;       // a: by vm_pause
	u64 stop_wanted;   // a: by vm_stop_by_request: it does not start again
	u64 waiting;       // a: its devices are still to come (micro); vm_begin ends it

	struct spinlock lock;       // rank LOCK_VM: pc and the devices on it
	struct pc pc;               // v: the virtual PC's chips (pc.h)
	struct vm_input input;      // under the list's lock (vm_list.h): typed, not taken yet
	struct vm_kept *kept;       // v: what its console said last (vm_console.h); NULL: not kept
	struct vm_disks *disks;     // v: the model's (model_vm_create)
	struct vm_rng *rng;         // v: the model's
	struct vm_backend *backend; // v: micro's (kernel/micro/backend.h); the pointer: c
	struct host_rest *rest;     // v: its devices' work for when a vcpu sleeps (host.h)
	struct vm_balloon *balloon; // v: the model's
	struct {
		u64 in_flight[2];
		unsigned turn;
	} dma;                      // v: the model's (kernel/mono/reclaim.h)
	u64 promised;               // a: frames promised to its disks beyond its RAM, not taken yet
	struct vm_devices *devices; // v: its virtual devices (devices/host_kernel/vm_devices.h)
	bool pc_made;               // pc_init has been called

	struct gmap gmap; // its own lock
	u64 ram_low;      // c: where RAM below 4 GiB ends; of the root VM: its longest piece
	u64 ram_high;     // c: bytes of RAM from 4 GiB
	u64 tsc_offset;   // c: guest TSC = TSC + tsc_offset
	struct sched_vm sched;
	u32 vcpu_count;                       // c
	u32 apic_first;                       // c: APIC id of vcpu 0; the others follow it
	struct vcpu *vcpus[BUNDLE_MAX_VCPUS]; // c
	u32 runs_left;                        // starts again this many times
	u64 frames_before;                    // free frames before it was created
	u64 log_lines;                        // a: lines logged by log_vm, to bound them
};

// Guest-physical layout (docs/memory-map.md).
#define GPA_RAM_LOW_MAX 0xb0000000ull // RAM below this; behind it firmware has an ECAM of its own
#define GPA_PCI_WINDOW  0xc0000000ull
#define GPA_PCI_END     0xe0000000ull
#define GPA_PCI_LIMIT                                                                              \
	0xfec00000ull // BARs decode up to here: a BIOS puts them where the guest's tables do not
#define GPA_ECAM      0xe0000000ull // bus 0 only; before BARs
#define GPA_ECAM_SIZE 0x00100000ull
#define GPA_IOAPIC    0xfec00000ull
#define GPA_LAPIC     0xfee00000ull
#define GPA_RAM_HIGH  0x100000000ull
#define GPA_VGA_HOLE  0xa0000ull // to 0xc0000: no memory
#define GPA_VGA_END   0xc0000ull
#define GPA_BIOS      0xe0000ull // ACPI tables; RAM, reserved for the guest
#define GPA_BIOS_END  0x100000ull

// Builds and starts a VM of the configuration; false: it could not be, which was reported, and
// nothing is left of it. No lock held.
bool vm_create(const struct bundle_vm *config, unsigned index, u32 runs_left);

// The same without a word about a failure: NULL, or why it could not be. What waits for its devices may be gone, with all that is its own,
// when this returns.
const char *vm_make(const struct bundle_vm *config, unsigned index, u32 runs_left);

// A VM that waited for its devices, and has been claimed by the caller, who took vm->waiting from 1 to 0: it runs, or is
// stopped. No lock held.
void vm_begin(struct vm *vm);

// All its vcpus are gone: starts it again after a reset, else gives everything back. For the
// reaper.
void vm_finish(struct vm *vm);

// Ends the VM (first call wins): all its vcpus stop soon after. Any CPU, any locks below
// LOCK_SCHED. fmt: the cause as people shall read it, for VM_END_STOPPED.
void vm_end(struct vm *vm, enum vm_end end, u32 code);
__attribute__((format(printf, 2, 3))) void vm_stop(struct vm *vm, const char *fmt, ...);

// Its vcpus run no more until it is resumed; it may be stopped meanwhile. Any CPU; the list of VMs is locked (vm_list_each),
// so that orders come one after the other.
void vm_pause(struct vm *vm, bool on);

// Stops it, also if it is just being reset, and so does not run now.
void vm_stop_by_request(struct vm *vm);

// A line of the log with the VM's name; at most 64 for each run of a VM, then silence (a guest may
// provoke it).
__attribute__((format(printf, 2, 3))) void log_vm(struct vm *vm, const char *fmt, ...);

static inline u32 vcpu_apic_id(const struct vcpu *v)
{
	return v->vm->apic_first + v->id;
}

// Guest's TSC now.
static inline u64 vm_tsc(const struct vm *vm)
{
	return time_now() + vm->tsc_offset;
}

// Guest RAM. Copies between guest-physical memory and ours; pages are populated as needed. false
// when any byte is not RAM (nothing or a part was copied then). Any CPU; takes LOCK_GMAP on first
// touch.
bool guest_read(struct vm *vm, gpa_t addr, void *to, size_t size);
bool guest_write(struct vm *vm, gpa_t addr, const void *from, size_t size);

// A pointer to guest RAM [addr, addr + size), which must not cross a 4 KiB boundary; NULL when it
// is not RAM. Valid while vm->lock is held, or on the CPU that the VM's vcpu is loaded on until it
// is back in pcpu_loop; whoever keeps it longer stands in docs/locking.md. What it points at may
// change at any moment: read each value once.
void *guest_ptr(struct vm *vm, gpa_t addr, size_t size);
