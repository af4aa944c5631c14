// SPDX-License-Identifier: MIT
// What devices put off until a vcpu has nothing else to do (devices/host.h, host_rest).
#include "devices/host.h"
#include "kernel/core/model.h"
#include "kernel/vm/vm.h"

// What is called takes itself out of the list, but nobody else.
void model_vm_rest(struct vm *vm, unsigned vcpu)
{
	struct host_rest *next;

	spin_lock(&vm->lock);
	for (struct host_rest *r = vm->rest; r; r = next) {
		next = r->next;
		r->fn(r, vcpu);
	}
	spin_unlock(&vm->lock);
}
