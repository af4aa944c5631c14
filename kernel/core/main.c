// SPDX-License-Identifier: MIT
// The kernel after the machine is up: what it is made of, in the order in which it begins to work.
#include "kernel/core/boot_info.h"
#include "kernel/core/cmdline.h"
#include "kernel/core/console.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/machine.h"
#include "kernel/core/model.h"
#include "kernel/core/pcpu.h"
#include "kernel/core/trace.h"
#include "kernel/vm/policy.h"
#include "kernel/vm/vm_list.h"
#include "kernel/x86/boot.h"

// The VMs point into it for as long as the machine runs.
static struct bundle bundle;

static void fail(const char *why)
{
	panic("%s", why);
}

static void read_bundle(const struct boot_info *info)
{
	const void *data = hpa_is_none(info->module) ? NULL : hpa_to_va(info->module);
	const char *why = "no boot bundle: one module, made by `mezz bundle`, is expected";
	size_t need = data ? bundle_memory(data, info->module_size, &why) : 0;
	void *memory = need ? kmem_alloc(need, FRAME_OWNER_KERNEL) : NULL;
	int line;

	if (!need)
		fail(why);
	if (!memory)
		fail("no memory for the boot bundle's configuration");
	line = bundle_parse(&bundle, data, info->module_size, memory, &why);
	if (line) {
		log_line("boot bundle: line %d: %s", line, why);
		fail("the boot bundle is not usable");
	}
}

_Noreturn void mezz_main(const struct boot_info *info)
{
	console_init(cmdline_is("console", "frames"));
	log_line("Mezzanine, %s model, %u CPUs", model_name, pcpu_count);
	trace_init();
	cpuid_init();
	model_init(info);
	vm_keys_register();
	read_bundle(info);
	log_line(
		"kernel memory: %llu KiB", (unsigned long long)frame_owned(FRAME_OWNER_KERNEL) * 4);
	vm_list_start(&bundle);
	pcpu_loop();
}
