// SPDX-License-Identifier: MIT
// VMs that are made while the machine runs, of bundles that the root VM hands over piece by piece.
//
// A bundle is copied into the window (kernel/x86/window.h), and read there, where the root VM does not reach it. Its number in the
// window is that of its VM's console, and what comes from the boot bundle has the lower ones. It stays until its VM has ended for good.
#pragma once

#include "kernel/vm/vm.h"

// With the root VM. NULL, or why not.
const char *create_init(void);

// MEZZ_CALL_BUNDLE_BEGIN to MEZZ_CALL_VM_CREATE.
s64 create_call(struct vcpu *v, u64 nr, const u64 a[4]);

// The VM is not of the boot bundle.
bool create_is_own(const struct vm *vm);

// model_vm_gone, model_promised.
void create_gone(unsigned index);
u64 create_promised(void);

// model_work
void create_work(void);
