// SPDX-License-Identifier: MIT
// The micro model: the parts that only it has.
#include "kernel/core/model.h"
#include "kernel/core/log.h"
#include "kernel/vm/vm.h"
#include "lib/errno.h"

const char *const model_name = "micro";

void model_init(void)
{
	log_line("model: micro, I/O is a root VM's");
}

int model_load(struct load *l)
{
	(void)l;
	return -ENOEXEC;
}

const char *model_vm_create(struct vm *vm)
{
	return vm->config->io_count
		       ? "disks and network cards need a root VM, which micro has not yet"
		       : NULL;
}

bool model_vm_quiet(struct vm *vm)
{
	(void)vm;
	return true;
}

void model_vm_destroy(struct vm *vm)
{
	(void)vm;
}

void model_vm_rest(struct vm *vm, unsigned vcpu)
{
	(void)vm;
	(void)vcpu;
}

void model_work(void) {}
