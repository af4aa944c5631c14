// SPDX-License-Identifier: MIT
// The seam between the two architectures: what kernel/micro and kernel/mono supply; the linker picks one.
#pragma once

#include "lib/types.h"

struct boot_info;
struct load;
struct lpc;
struct vm;

extern const char *const model_name; // "micro" or "mono"

// Once at start, before VMs are made. What info points to stays.
void model_init(const struct boot_info *info);

// The root VM is being built: gives it the machine, memory, and a number of vcpus. NULL, or why it cannot be.
const char *model_root_create(struct vm *vm);

// A VM is being built; its memory, vcpus and PC are there. NULL, or why it cannot be.
const char *model_vm_create(struct vm *vm);

// All its vcpus have left the scheduler: what the VM has in flight is called back. False: not all has come back; the
// model posts WORK_REAP when it has, and is asked again. The list of VMs is locked.
bool model_vm_quiet(struct vm *vm);

// A vcpu of a VM with vm->rest is about to sleep: does what was put off until then. Takes vm->lock.
void model_vm_rest(struct vm *vm, unsigned vcpu);

// It is quiet, or never ran; what model_vm_create made, if it was called, goes. No lock held.
void model_vm_destroy(struct vm *vm);

// It has ended for good, and nothing is left of it: nor does anybody use its configuration. No lock held.
void model_vm_gone(unsigned index);

// Frames that the model has promised beyond those of VMs. The list of VMs may be locked.
u64 model_promised(void);

// On WORK_MODEL, no lock held: what the model has posted to this CPU. Bounded.
void model_work(void);

// The CPU has nothing to run and no work: a short look for what the model expects soon. True: once more, instead of sleep.
bool model_idle(void);

// A VM that has firmware is about to start: its memory and ACPI tables are there. The bridge to what the firmware asks first,
// with fw_cfg's items and the flash chip as after a reset. NULL: l->why. No lock held.
struct lpc *model_firmware(struct load *l, bool bios);
