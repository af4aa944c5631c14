// SPDX-License-Identifier: MIT
// VMs shown to people: use of the processor, memory, exits by cause.
#include "kernel/core/console.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/vm/vm_list.h"
#include "abi/console.h"

static const char *const reason_names[EXIT_REASONS] = EXIT_REASON_NAMES;

static u64 exits_of(const struct vm *vm, unsigned reason)
{
	u64 sum = 0;

	for (u32 i = 0; i < vm->vcpu_count; i++)
		sum += vm->vcpus[i]->exits[reason];
	return sum;
}

static void log_exits(const struct vm *vm)
{
	char text[400];
	size_t at = 0;
	u64 total = 0;

	text[0] = 0;
	for (unsigned r = 0; r < EXIT_REASONS; r++) {
		u64 n = exits_of(vm, r);

		total += n;
		if (n && at < sizeof(text))
			at += format(text + at, sizeof(text) - at, " %s %llu", reason_names[r],
				(unsigned long long)n);
	}
	log_line("%s: exits %llu:%s", vm->name, (unsigned long long)total, text);
}

void vm_log_use(struct vm *vm)
{
	u64 refused = 0, now = time_now();
	u64 owned = frame_owned(vm->id);

	for (u32 i = 0; i < vm->vcpu_count; i++)
		refused += vm->vcpus[i]->msr_refused;
	log_line(
		"%s: processor %llu ms; RAM %llu of %llu KiB, tables %llu KiB, other %llu KiB; MSRs refused %llu",
		vm->name, (unsigned long long)time_to_ns(vm->sched.used) / 1000000,
		(unsigned long long)vm->gmap.populated * 4,
		(unsigned long long)vm->config->memory / KiB,
		(unsigned long long)vm->gmap.tables * 4,
		(unsigned long long)(owned - vm->gmap.populated - vm->gmap.tables) * 4,
		(unsigned long long)refused);
	log_exits(vm);
	(void)now;
}

static void show_vcpu(const struct vcpu *v)
{
	static const char *const states[] = {"off", "blocked", "ready", "running"};

	log_line("  vcpu %u: %s on CPU %u, rip 0x%lx, events 0x%lx%s", v->id,
		states[v->sched.state & 3], v->sched.pcpu ? v->sched.pcpu->id : 0, v->rip,
		v->events, v->mode == VCPU_WAIT_SIPI ? ", waits for SIPI" : "");
}

static void show_vm(struct vm *vm, void *arg)
{
	(void)arg;
	vm_log_use(vm);
	for (u32 i = 0; i < vm->vcpu_count; i++)
		show_vcpu(vm->vcpus[i]);
}

static void key_vms(void)
{
	vm_list_each(show_vm, NULL);
}

static void key_memory(void)
{
	log_line("memory: %llu of %llu frames free, %llu of them scrubbed; kernel %llu KiB",
		(unsigned long long)frame_free_count(), (unsigned long long)frame_total(),
		(unsigned long long)frame_clean_count(),
		(unsigned long long)frame_owned(FRAME_OWNER_KERNEL) * 4);
	for (u32 i = 0; i < pcpu_count; i++)
		log_line("CPU %u: idle %llu ms", i,
			(unsigned long long)time_to_ns(pcpus[i]->idle_ticks) / 1000000);
}

static void key_power(void)
{
	vm_request(CONSOLE_ASK_OFF);
}

void vm_keys_register(void)
{
	console_key_register('v', "VMs: processor time, memory, exits by cause, vcpus", key_vms);
	console_key_register('m', "memory and CPUs", key_memory);
	console_key_register('p', "press the power button of every VM", key_power);
}
