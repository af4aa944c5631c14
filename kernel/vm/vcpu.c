// SPDX-License-Identifier: MIT
// A virtual CPU: creation, reset, and its state's way into and out of a processor.
#include "kernel/core/frame.h"
#include "kernel/vm/vm_list.h"
#include "kernel/x86/vcpu_state.h"
#include "lib/errno.h"
#include "lib/string.h"

int vcpu_create(struct vm *vm, u32 id)
{
	struct vcpu *v = kmem_alloc(sizeof(*v), vm->id);

	if (!v)
		return -ENOMEM;
	vm->vcpus[id] = v;
	v->vm = vm;
	v->id = id;
	sched_vcpu_init(&v->sched, &vm->sched);
	vlapic_init(v);
	v->xstate = kmem_alloc(vcpu_state_size(), vm->id);
	if (!v->xstate || hvm->vcpu_create(v))
		return -ENOMEM;
	vcpu_reset(v);
	return 0;
}

void vcpu_destroy(struct vcpu *v)
{
	vlapic_destroy(v);
	if (v->arch)
		hvm->vcpu_destroy(v);
	if (v->xstate)
		kmem_free(v->xstate, vcpu_state_size());
	kmem_free(v, sizeof(*v));
}

void vcpu_forget(struct vcpu *v)
{
	memset(v->ram_cache, 0, sizeof(v->ram_cache));
	v->code.page = NULL;
}

void vcpu_reset(struct vcpu *v)
{
	hvm->vcpu_reset(v);
	vcpu_state_reset(v);
	vlapic_reset(v, false);
	vpv_reset(v);
	v->mode = v->id ? VCPU_WAIT_SIPI : VCPU_RUN;
	v->events = VCPU_FLUSH; // what was cached before the reset may be gone from the VM's memory
	v->deferred = 0;
	v->halted = false;
	v->mtrr_def_type = 0xc06; // enabled, write-back: what firmware leaves
	memset(v->mtrr_fixed, 0, sizeof(v->mtrr_fixed));
	memset(v->mtrr_var, 0, sizeof(v->mtrr_var));
}

// The state leaves this CPU before the vcpu may run on another: whoever takes it waits for
// loaded_on.
static void unload(struct pcpu *p)
{
	struct vcpu *v = p->loaded;
	bool off = sched_is_off(&v->sched);

	vcpu_state_save(v);
	vpv_vcpu_unload(v);
	p->loaded = NULL;
	__atomic_store_n(&v->loaded_on, NULL, __ATOMIC_RELEASE);
	if (off)
		vm_vcpu_gone(v->vm);
}

static void load(struct pcpu *p, struct vcpu *v)
{
	while (__atomic_load_n(&v->loaded_on, __ATOMIC_ACQUIRE))
		cpu_relax();
	v->loaded_on = p;
	p->loaded = v;
	vcpu_state_load(v);
	if (v->ran_on != p) { // else what is cached here is still its own
		hvm->flush(v);
		v->ran_on = p;
	}
	vpv_vcpu_load(v);
}

void vcpu_switch(struct vcpu *v)
{
	struct pcpu *p = this_pcpu();

	if (p->loaded == v)
		return;
	if (p->loaded)
		unload(p);
	if (v)
		load(p, v);
}

void vcpu_kick(struct vcpu *v)
{
	struct pcpu *p;

	if (this_pcpu()->current == v)
		return; // it looks again before it enters the guest
	if (!atomic_load(&v->in_guest)) {
		sched_wake(&v->sched);
		return;
	}
	p = READ_ONCE(v->loaded_on);
	if (p)
		arch_kick(p);
}

void vcpu_post(struct vcpu *v, u64 events)
{
	atomic_or(&v->events, events);
	vcpu_kick(v);
}
