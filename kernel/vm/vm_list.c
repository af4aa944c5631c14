// SPDX-License-Identifier: MIT
// The VMs that exist, and the reaper that finishes those that have ended.
#include "kernel/vm/vm_list.h"
#include "kernel/core/console.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/machine.h"
#include "kernel/core/model.h"
#include "abi/console.h"

static struct spinlock lock = {.rank = LOCK_VM_LIST};
static struct list vms = {&vms, &vms};
static unsigned count;
static u64 ended;      // a: VMs whose vcpus are all gone and that wait for the reaper
static u64 unfinished; // a: VMs of the bundle that will still run or end
static bool ending;    // a: set once

void vm_list_add(struct vm *vm)
{
	spin_lock(&lock);
	list_push_back(&vms, &vm->link);
	count++;
	spin_unlock(&lock);
}

void vm_list_remove(struct vm *vm)
{
	spin_lock(&lock);
	list_remove(&vm->link);
	count--;
	spin_unlock(&lock);
}

unsigned vm_list_count(void)
{
	return READ_ONCE(count);
}

void vm_list_each(void (*fn)(struct vm *vm, void *arg), void *arg)
{
	spin_lock(&lock);
	list_for_each(pos, &vms) fn(list_entry(pos, struct vm, link), arg);
	spin_unlock(&lock);
}

void vm_list_run(struct vm *vm)
{
	spin_lock(&lock);
	atomic_store(&vm->state, VM_RUNNING);
	sched_wake(&vm->vcpus[0]->sched);
	if (atomic_load(&vm->stop_wanted))
		vm_stop(vm, "by request");
	spin_unlock(&lock);
}

static void obey(struct vm *vm, void *arg)
{
	u8 request = *(u8 *)arg;

	if (READ_ONCE(vm->state) != VM_RUNNING)
		return;
	if (request == CONSOLE_ASK_STOP)
		vm_stop(vm, "by request");
	else if (request == CONSOLE_ASK_OFF || request == vm->index)
		vpm_power_button(vm);
}

void vm_request(u8 request)
{
	if (request >= CONSOLE_ASK_OFF)
		WRITE_ONCE(ending, true);
	vm_list_each(obey, &request);
}

bool vm_list_ending(void)
{
	return READ_ONCE(ending);
}

static void add_promised(struct vm *vm, void *sum)
{
	u64 frames = vm->config->memory / PAGE_SIZE;
	u64 populated = READ_ONCE(vm->gmap.populated);

	if (vm->gmap.identity) // taken as a whole, at once
		return;
	*(u64 *)sum += READ_ONCE(vm->promised) + (frames > populated ? frames - populated : 0);
}

u64 vm_list_promised(void)
{
	u64 sum = model_promised();

	vm_list_each(add_promised, &sum);
	return sum;
}

void vm_vcpu_gone(struct vm *vm)
{
	if (atomic_add(&vm->vcpus_gone, 1) + 1 == vm->vcpu_count)
		vm_list_ended(vm);
}

void vm_list_ended(struct vm *vm)
{
	atomic_store(&vm->finishable, 1);
	atomic_add(&ended, 1);
	pcpu_post(this_pcpu(), WORK_REAP);
}

// One that has ended, taken by the caller alone; NULL: none.
static struct vm *take_ended(void)
{
	struct vm *found = NULL;

	spin_lock(&lock);
	list_for_each(pos, &vms)
	{
		struct vm *vm = list_entry(pos, struct vm, link);

		if (!found && READ_ONCE(vm->finishable) && model_vm_quiet(vm)) {
			vm->finishable = 0;
			found = vm;
		}
	}
	spin_unlock(&lock);
	return found;
}

bool vm_reap(void)
{
	struct vm *vm;

	if (!READ_ONCE(ended))
		return false;
	vm = take_ended();
	if (!vm)
		return false;
	atomic_sub(&ended, 1);
	vm_finish(vm);
	if (READ_ONCE(ended))
		pcpu_post(this_pcpu(), WORK_REAP);
	if (!vm_list_count() && !READ_ONCE(unfinished)) {
		console_event("end");
		log_line("no VM is left: powering off");
		console_flush();
		machine_poweroff();
	}
	return true;
}

// Memory that the VMs will touch is scrubbed before they start, by all CPUs at once; the rest
// later, when CPUs idle.
static void scrub_for(const struct bundle *bundle)
{
	u64 need = 0, start = time_now();

	for (unsigned i = 0; i < bundle->count; i++)
		need += bundle->vms[i].is_root ? 0 : bundle->vms[i].memory / PAGE_SIZE;
	while (frame_clean_count() < need && frame_scrub_slice())
		;
	log_line("memory: %llu MiB free, %llu MiB scrubbed in %llu ms",
		(unsigned long long)frame_free_count() / 256,
		(unsigned long long)frame_clean_count() / 256,
		(unsigned long long)time_to_ns(time_now() - start) / 1000000);
}

void vm_list_start(const struct bundle *bundle)
{
	scrub_for(bundle);
	atomic_store(&unfinished, 1);
	for (unsigned i = 0; i < bundle->count; i++)
		vm_create(&bundle->vms[i], i, bundle->vms[i].repeat);
	atomic_store(&unfinished, 0);
	if (!vm_list_count()) {
		console_event("end");
		console_flush();
		machine_poweroff();
	}
}
