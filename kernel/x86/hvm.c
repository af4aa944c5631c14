// SPDX-License-Identifier: MIT
// The choice of the processor's virtualization extension.
#include "kernel/core/log.h"
#include "kernel/core/pcpu.h"
#include "kernel/x86/hvm.h"

const struct hvm_ops *hvm;

static const struct hvm_ops *const vendors[] = {&svm_ops};

void hvm_init(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(vendors); i++) {
		if (!vendors[i]->probe())
			continue;
		hvm = vendors[i];
		log_line("guests run by %s", hvm->name);
		hvm_init_cpu();
		return;
	}
	panic("this processor cannot run guests: AMD-V with nested paging is needed, and must be enabled");
}

void hvm_init_cpu(void)
{
	if (hvm->cpu_init())
		panic("no memory to run guests on CPU %u", this_pcpu()->id);
}
