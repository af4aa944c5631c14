// SPDX-License-Identifier: MIT
// Weak stand-ins for the loop and for what comes after the start, which kernel/core has.
#include "kernel/core/log.h"
#include "kernel/core/model.h"
#include "kernel/core/pcpu.h"
#include "kernel/x86/boot.h"

__attribute__((weak)) _Noreturn void pcpu_loop(void)
{
	for (;;) {
		arch_idle();
		atomic_exchange(&this_pcpu()->work, 0);
	}
}

__attribute__((weak)) _Noreturn void mezz_main(const struct boot_info *info)
{
	log_line("mezzanine: the %s kernel, %u CPUs, boot bundle of %llu bytes", model_name,
		pcpu_count, (unsigned long long)info->module_size);
	pcpu_loop();
}
