// SPDX-License-Identifier: MIT
// The micro model: the parts that only it has.
#include "kernel/core/model.h"
#include "kernel/core/log.h"
#include "kernel/micro/backend.h"
#include "kernel/micro/create.h"
#include "kernel/micro/root.h"
#include "kernel/vm/vm.h"

const char *const model_name = "micro";

void model_init(const struct boot_info *info)
{
	log_line("model: micro, I/O is a root VM's");
	root_init(info);
}

const char *model_root_create(struct vm *vm)
{
	return root_create(vm);
}

const char *model_vm_create(struct vm *vm)
{
	const char *why;

	if (vm->machine)
		return root_pin(vm);
	why = backend_create(vm, root_vm());
	if (!why && !vm_console_keep(vm))
		why = "out of memory for its console";
	if (create_is_own(vm))
		vm->waiting = 1; // for MEZZ_VM_START, too, if it has no devices
	return why;
}

bool model_vm_quiet(struct vm *vm)
{
	return backend_quiet(vm);
}

void model_vm_destroy(struct vm *vm)
{
	vm_console_forget(vm);
	backend_destroy(vm);
}

void model_vm_gone(unsigned index)
{
	create_gone(index);
}

u64 model_promised(void)
{
	return create_promised();
}

void model_vm_rest(struct vm *vm, unsigned vcpu)
{
	(void)vcpu;
	backend_rest(vm);
}

void model_work(void)
{
	create_work();
}

bool model_idle(void)
{
	return false;
}
