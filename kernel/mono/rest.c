// SPDX-License-Identifier: MIT
// What devices put off until a vcpu has nothing else to do (devices/host.h, host_rest).
#include "devices/host.h"
#include "kernel/core/model.h"
#include "kernel/vm/vm.h"

#define RESTS_MAX 64u // calls; a VM has fewer devices

// What is called may take itself and others out of the list, and put them in again: then they may be called twice, or one
// that was taken out once more. That does no harm.
void model_vm_rest(struct vm *vm, unsigned vcpu)
{
	struct host_rest *next;
	unsigned count = 0;

	spin_lock(&vm->lock);
	for (struct host_rest *r = vm->rest; r && count++ < RESTS_MAX; r = next) {
		next = r->next;
		r->fn(r, vcpu);
	}
	spin_unlock(&vm->lock);
}
