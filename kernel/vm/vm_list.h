// SPDX-License-Identifier: MIT
// The VMs that exist, and the reaper that finishes those that have ended.
#pragma once

#include "kernel/vm/vm.h"

void vm_list_add(struct vm *vm);
void vm_list_remove(struct vm *vm);
unsigned vm_list_count(void);

// Calls fn for each VM with the list locked (rank LOCK_VM_LIST), so that none goes away meanwhile.
void vm_list_each(void (*fn)(struct vm *vm, void *arg), void *arg);

// Frames of RAM that the VMs have been promised and have not touched yet.
u64 vm_list_promised(void);

// A vcpu of the VM has left the scheduler and every processor; with the last one the VM can be
// finished.
void vm_vcpu_gone(struct vm *vm);

// The VM runs no more, why is in vm->end: it can be finished when it is quiet.
void vm_list_ended(struct vm *vm);

// Finishes what has ended; true: there was something. Called by the idle side of pcpu_loop; no lock
// held.
bool vm_reap(void);

// Starts the VMs of the bundle; when the last has ended the machine powers off.
void vm_list_start(const struct bundle *bundle);

// A VM of the list, made or reset by the caller, begins to run. Until here no request reaches it; from here on it may
// end and be gone at any moment.
void vm_list_run(struct vm *vm);

// An ASK of abi/console.h was made: no VM is started again after it powered itself off.
bool vm_list_ending(void);

// Use of the processor and exits by cause of one VM, into the log.
void vm_log_use(struct vm *vm);

// The debug keys that show VMs.
void vm_keys_register(void);
