// SPDX-License-Identifier: MIT
// The life of virtual machines: creation, start, end, reset and what remains of them (nothing).
#include "devices/host_kernel/vm_devices.h"
#include "kernel/core/console.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/machine.h"
#include "kernel/core/model.h"
#include "kernel/vm/loader.h"
#include "kernel/vm/vm_list.h"
#include "lib/errno.h"
#include "lib/string.h"

#define LOG_LINES 64

void vm_end(struct vm *vm, enum vm_end end, u32 code)
{
	if (!atomic_compare_exchange(&vm->end, VM_END_NONE, VM_END_CLAIMED))
		return;
	vm->exit_code = code;
	atomic_store(&vm->end, end);
	atomic_store(&vm->state, VM_STOPPING);
	for (u32 i = 0; i < vm->vcpu_count; i++)
		vcpu_post(vm->vcpus[i], VCPU_STOP);
}

void vm_stop(struct vm *vm, const char *fmt, ...)
{
	char cause[sizeof(vm->cause)];
	va_list args;

	va_start(args, fmt);
	format_v(cause, sizeof(cause), fmt, args);
	va_end(args);
	if (!atomic_exchange(&vm->cause_claimed, 1))
		memcpy(vm->cause, cause, sizeof(cause));
	vm_end(vm, VM_END_STOPPED, 0);
}

// vm_list_run looks at the wish after it has let the VM run.
void vm_stop_by_request(struct vm *vm)
{
	atomic_store(&vm->stop_wanted, 1);
	if (atomic_load(&vm->state) == VM_RUNNING)
		vm_stop(vm, "by request");
}

void vm_pause(struct vm *vm, bool on)
{
	WRITE_ONCE(vm->paused, on);
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		struct vcpu *v = vm->vcpus[i];

		if (on) {
			vcpu_post(v, VCPU_PAUSE);
		} else {
			atomic_and(&v->events, ~(u64)VCPU_PAUSE);
			vcpu_kick(v);
		}
	}
}

void log_vm(struct vm *vm, const char *fmt, ...)
{
	char text[160];
	va_list args;

	if (atomic_add(&vm->log_lines, 1) >= LOG_LINES)
		return;
	va_start(args, fmt);
	format_v(text, sizeof(text), fmt, args);
	va_end(args);
	log_line("%s: %s", vm->name, text);
}

// RAM from 0 with a hole for the screen, up to the PCI window; what is more goes above 4 GiB.
static void layout(struct vm *vm, u64 memory)
{
	struct gmap *g = &vm->gmap;

	vm->ram_low = MIN(memory, GPA_RAM_LOW_MAX);
	vm->ram_high = memory - vm->ram_low;
	gmap_add_ram(g, 0, MIN(vm->ram_low, GPA_VGA_HOLE));
	gmap_add_ram(g, GPA_VGA_END, MAX(vm->ram_low, GPA_VGA_END));
	gmap_add_ram(g, GPA_RAM_HIGH, GPA_RAM_HIGH + vm->ram_high);
}

static void give_back(struct vm *vm)
{
	if (vm->pc_made) { // first, as a timer of theirs may still send an interrupt to a vcpu
		model_vm_destroy(vm);
		vm_devices_destroy(vm);
		pc_destroy(vm);
	}
	for (u32 i = 0; i < vm->vcpu_count; i++)
		if (vm->vcpus[i])
			vcpu_destroy(vm->vcpus[i]);
	gmap_destroy(&vm->gmap);
	kmem_free(vm, sizeof(*vm));
}

static const char *build(struct vm *vm)
{
	const struct bundle_vm *c = vm->config;
	const char *why;

	if (c->memory / PAGE_SIZE + vm_list_promised() > frame_free_count())
		return "not enough free memory";
	if (gmap_init(&vm->gmap, vm->id))
		return "out of memory";
	vm->tsc_offset = 0 - time_now();
	vm->vcpu_count = c->vcpus;
	sched_vm_init(&vm->sched, c->weight, c->cap, c->affinity);
	if (!c->is_root)
		layout(vm, c->memory);
	else if ((why = model_root_create(vm)))
		return why;
	for (u32 i = 0; i < vm->vcpu_count; i++)
		if (vcpu_create(vm, i))
			return "out of memory for its vcpus";
	pc_init(vm);
	vm->pc_made = true;
	if (vm_devices_create(vm))
		return "out of memory for its devices";
	why = model_vm_create(vm);
	pc_reset(vm); // gives addresses to the functions on the bus
	return why;
}

// Fills memory and registers and lets vcpu 0 run; the VM is in the list.
static const char *start(struct vm *vm)
{
	const char *why = "out of memory";

	if (loader_load(vm, vm->config, &why))
		return why;
	vm_list_run(vm);
	return NULL;
}

static const char *announce(struct vm *vm)
{
	console_event("start %s", vm->name);
	log_line("%s: %llu MiB, %u vcpus", vm->name, (unsigned long long)(vm->config->memory / MiB),
		vm->vcpu_count);
	return start(vm);
}

void vm_begin(struct vm *vm)
{
	const char *why;

	pc_reset(vm); // the functions that have come get their addresses
	why = announce(vm);
	if (why)
		vm_stop(vm, "cannot start: %s", why);
}

// Puts it into the list. NULL: it runs, or waits, and may be gone at any moment; else why it does not.
static const char *start_or_wait(struct vm *vm)
{
	const char *why;

	if (vm->waiting) {
		log_line("%s: waits to be started", vm->name);
		vm_list_add(vm); // from here on whoever takes vm->waiting starts it, or ends it
		return NULL;
	}
	vm_list_add(vm);
	why = announce(vm);
	if (why)
		vm_list_remove(vm);
	return why;
}

const char *vm_make(const struct bundle_vm *config, unsigned index, u32 runs_left)
{
	u64 before = frame_free_count();
	struct vm *vm = kmem_alloc(sizeof(*vm), (u16)(index + 1));
	const char *why = vm ? NULL : "out of memory";

	if (vm) {
		vm->id = (u16)(index + 1);
		vm->index = index;
		vm->config = config;
		vm->runs_left = runs_left;
		vm->frames_before = before;
		vm->lock = SPINLOCK(LOCK_VM);
		memcpy(vm->name, config->name, sizeof(vm->name));
		why = build(vm);
		why = why ? why : start_or_wait(vm);
	}
	if (why && vm)
		give_back(vm);
	return why;
}

bool vm_create(const struct bundle_vm *config, unsigned index, u32 runs_left)
{
	const char *why = vm_make(config, index, runs_left);

	if (why) {
		console_event("stopped %s cannot start: %s", config->name, why);
		log_line("%s: cannot start: %s", config->name, why);
	}
	return !why;
}

// How a VM ended, for people and for `mezz run`.
static void report_end(struct vm *vm)
{
	switch (vm->end) {
	case VM_END_POWEROFF:
		console_event("poweroff %s", vm->name);
		log_line("%s: powered off", vm->name);
		break;
	case VM_END_RESET:
		console_event("reboot %s", vm->name);
		log_line("%s: reset, starts again", vm->name);
		break;
	case VM_END_EXIT:
		console_event("exit %s %u", vm->name, vm->exit_code);
		log_line("%s: exit %u", vm->name, vm->exit_code);
		break;
	default:
		console_event("stopped %s %s", vm->name, vm->cause);
		log_line("%s: stopped: %s", vm->name, vm->cause);
	}
}

// The same VM from its first instruction; its RAM keeps what it held, as a warm reset leaves it.
static bool restart(struct vm *vm)
{
	const char *why;

	vm->end = VM_END_NONE;
	vm->cause_claimed = 0;
	vm->log_lines = 0;
	vm->vcpus_gone = 0;
	vm->paused = false;
	vm->state = VM_CREATING;
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		sched_vcpu_init(&vm->vcpus[i]->sched, &vm->sched);
		vcpu_reset(vm->vcpus[i]);
	}
	pc_reset(vm);
	why = start(vm);
	if (why)
		format(vm->cause, sizeof(vm->cause), "cannot start again: %s", why);
	return !why;
}

static void destroy(struct vm *vm)
{
	const struct bundle_vm *config = vm->config;
	unsigned index = vm->index;
	u32 runs_left = vm->runs_left;
	u64 before = vm->frames_before;
	bool again = runs_left && !vm_list_ending() &&
		     (vm->end == VM_END_POWEROFF || vm->end == VM_END_EXIT);

	vm_log_use(vm);
	vm_list_remove(vm);
	give_back(vm);
	console_event("frames %s %llu %llu", config->name, (unsigned long long)before,
		(unsigned long long)frame_free_count());
	if (again)
		vm_create(config, index, runs_left - 1);
	else
		model_vm_gone(index);
}

static void tell_lost(struct vm *vm, void *root)
{
	if (vm == root)
		return;
	console_event("stopped %s the root VM has ended", vm->name);
	log_line("%s: stopped: the root VM has ended", vm->name);
}

// The machine's devices are the root VM's, so the machine ends as that does; what other VMs still run then ends, too.
static _Noreturn void end_machine(struct vm *vm)
{
	vm_list_each(tell_lost, vm);
	if (vm->end == VM_END_RESET) {
		console_flush();
		machine_reset();
	}
	console_event("end");
	log_line("the root VM has ended: powering off");
	console_flush();
	machine_poweroff();
}

void vm_finish(struct vm *vm)
{
	report_end(vm);
	if (vm->machine)
		end_machine(vm);
	if (vm->end == VM_END_RESET) {
		if (restart(vm))
			return;
		vm->end = VM_END_STOPPED;
		vm_list_ended(vm); // as it has to be quiet for that, too
		return;
	}
	destroy(vm);
}

bool guest_read(struct vm *vm, gpa_t addr, void *to, size_t size)
{
	for (size_t done = 0, n; done < size; done += n) {
		const u8 *p = gmap_is_ram(&vm->gmap, addr.v + done)
				      ? gmap_ptr(&vm->gmap, addr.v + done)
				      : NULL;

		if (!p)
			return false;
		n = MIN(size - done, PAGE_SIZE - ((addr.v + done) & (PAGE_SIZE - 1)));
		(memcpy)((u8 *)to + done, p,
			n); // the function: what is made of it for size goes byte by byte
	}
	return true;
}

bool guest_write(struct vm *vm, gpa_t addr, const void *from, size_t size)
{
	for (size_t done = 0, n; done < size; done += n) {
		u8 *p = gmap_is_ram(&vm->gmap, addr.v + done) ? gmap_ptr(&vm->gmap, addr.v + done)
							      : NULL;

		if (!p)
			return false;
		n = MIN(size - done, PAGE_SIZE - ((addr.v + done) & (PAGE_SIZE - 1)));
		(memcpy)(p, (const u8 *)from + done, n);
	}
	return true;
}

void *guest_ptr(struct vm *vm, gpa_t addr, size_t size)
{
	if (!size || size > PAGE_SIZE - (addr.v & (PAGE_SIZE - 1)))
		return NULL;
	return gmap_ptr(&vm->gmap, addr.v);
}
