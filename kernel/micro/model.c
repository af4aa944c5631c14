// SPDX-License-Identifier: MIT
// The micro model: the parts that only it has.
#include "kernel/core/model.h"
#include "kernel/core/log.h"
#include "kernel/micro/backend.h"
#include "kernel/micro/root.h"
#include "kernel/vm/vm.h"
#include "lib/errno.h"

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

int model_load(struct load *l)
{
	(void)l;
	return -ENOEXEC;
}

const char *model_vm_create(struct vm *vm)
{
	if (vm->machine)
		return root_pin(vm);
	return backend_create(vm, root_vm());
}

bool model_vm_quiet(struct vm *vm)
{
	return backend_quiet(vm);
}

void model_vm_destroy(struct vm *vm)
{
	backend_destroy(vm);
}

void model_vm_rest(struct vm *vm, unsigned vcpu)
{
	(void)vm;
	(void)vcpu;
}

void model_work(void) {}

bool model_idle(void)
{
	return false;
}
