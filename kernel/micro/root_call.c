// SPDX-License-Identifier: MIT
// Hypercalls of the root VM (abi/hypercall.h): what runs, and what shall become of it. Its arguments are not trusted: VMs are
// looked up by id, buffers are memory of the root VM or nothing.
#include "abi/hypercall.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/core/model.h"
#include "kernel/micro/backend.h"
#include "kernel/micro/root.h"
#include "kernel/vm/vm_list.h"
#include "lib/errno.h"
#include "lib/string.h"

static const char *const cause_names[EXIT_REASONS] = EXIT_REASON_NAMES;

_Static_assert(EXIT_REASONS <= MEZZ_CAUSES, "room for all causes");

static bool in_a_page(gpa_t buffer, size_t n)
{
	return n <= PAGE_SIZE - (buffer.v & (PAGE_SIZE - 1));
}

s64 root_give(struct vcpu *v, const void *from, size_t size, gpa_t buffer, u64 room)
{
	size_t n = MIN(size, room);

	if (!in_a_page(buffer, n))
		return -EINVAL;
	return guest_write(v->vm, buffer, from, n) ? (s64)n : -EFAULT;
}

s64 root_take(struct vcpu *v, void *to, size_t size, gpa_t buffer, u64 room)
{
	if (room != size || !in_a_page(buffer, size))
		return -EINVAL;
	return guest_read(v->vm, buffer, to, size) ? 0 : -EFAULT;
}

void *root_page(struct vcpu *v, gpa_t page)
{
	return IS_ALIGNED(page.v, PAGE_SIZE) && gmap_is_ram(&v->vm->gmap, page.v)
		       ? guest_ptr(v->vm, page, PAGE_SIZE)
		       : NULL;
}

static s64 call_host(struct vcpu *v, gpa_t buffer, u64 room)
{
	struct mezz_host h = {
		.cpus = pcpu_count,
		.vms = vm_list_count(),
		.memory = frame_total() * PAGE_SIZE,
		.free_memory = frame_free_count() * PAGE_SIZE,
		.kernel_memory = frame_owned(FRAME_OWNER_KERNEL) * PAGE_SIZE,
		.uptime = time_to_ns(time_now()),
	};

	format(h.model, sizeof(h.model), "%s", model_name);
	for (u32 i = 0; i < pcpu_count; i++) {
		if (sched_barred >> i & 1)
			continue;
		h.vm_cpus++;
		h.idle += time_to_ns(READ_ONCE(pcpus[i]->idle_ticks));
	}
	return root_give(v, &h, sizeof(h), buffer, room);
}

// ---------------------------------------------------------------- VMs

struct search {
	u64 from;          // the least id that is looked for
	struct mezz_vm vm; // what was found, by its id; 0: nothing
};

static u32 state_of(const struct vm *vm)
{
	if (READ_ONCE(vm->waiting))
		return MEZZ_VM_WAITING;
	if (READ_ONCE(vm->state) != VM_RUNNING)
		return MEZZ_VM_ENDING;
	return READ_ONCE(vm->paused) ? MEZZ_VM_PAUSED : MEZZ_VM_RUNNING;
}

static void count_vcpus(struct mezz_vm *out, const struct vm *vm)
{
	u64 now = time_now(), used = 0, waited = 0;

	out->causes = EXIT_REASONS;
	for (u32 r = 0; r < EXIT_REASONS; r++)
		format(out->cause[r].name, sizeof(out->cause[r].name), "%s", cause_names[r]);
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		const struct vcpu *v = vm->vcpus[i];

		used += sched_vcpu_used(&v->sched, now);
		waited += READ_ONCE(v->sched.waited);
		for (u32 r = 0; r < EXIT_REASONS; r++) {
			out->cause[r].count += v->exits[r];
			out->exits += v->exits[r];
		}
	}
	out->processor_time = time_to_ns(used);
	out->steal_time = time_to_ns(waited);
}

static void describe(struct mezz_vm *out, const struct vm *vm)
{
	u64 tables = READ_ONCE(vm->gmap.tables), populated = READ_ONCE(vm->gmap.populated),
	    owned = frame_owned(vm->id);

	*out = (struct mezz_vm){
		.id = vm->id,
		.state = state_of(vm),
		.is_root = vm->machine != NULL,
		.has_backend = vm->backend && READ_ONCE(vm->backend->bells),
		.vcpus = vm->vcpu_count,
		.weight = vm->config->weight,
		.cap = vm->config->cap,
		.memory = vm->config->memory,
		.populated = vm->machine ? vm->config->memory : populated * PAGE_SIZE,
		.overhead = vm->machine ? tables * PAGE_SIZE
					: (owned - MIN(owned, populated)) * PAGE_SIZE,
	};
	format(out->name, sizeof(out->name), "%s", vm->name);
	count_vcpus(out, vm);
}

static void look(struct vm *vm, void *arg)
{
	struct search *s = arg;

	if (vm->id >= s->from && (!s->vm.id || vm->id < s->vm.id))
		describe(&s->vm, vm);
}

static s64 call_vm(struct vcpu *v, u64 from, gpa_t buffer, u64 room)
{
	struct search s = {.from = from};

	vm_list_each(look, &s);
	return s.vm.id ? root_give(v, &s.vm, sizeof(s.vm), buffer, room) : -ENOENT;
}

struct order {
	u64 id, op;
	s64 result;
	struct vm *begins; // it waited, and is this caller's to start
};

// A VM that waits for its devices: nobody else starts or ends it, once it has been taken.
static s64 obey_waiting(struct vm *vm, u64 op, struct order *o)
{
	if (op != MEZZ_VM_START && op != MEZZ_VM_STOP)
		return op < MEZZ_VM_START ? -ENOENT : -EINVAL;
	if (!atomic_exchange(&vm->waiting, 0))
		return -EBUSY;
	if (op == MEZZ_VM_START)
		o->begins = vm;
	else
		vm_stop(vm, "by request");
	return 0;
}

// It runs, or does so again when it has been reset.
static bool is_to_run(const struct vm *vm)
{
	u64 end = READ_ONCE(vm->end);

	return end == VM_END_NONE || end == VM_END_RESET || READ_ONCE(vm->state) == VM_RUNNING;
}

static s64 obey(struct vm *vm, u64 op, struct order *o)
{
	if (vm->machine)
		return -EPERM;
	if (atomic_load(&vm->waiting))
		return obey_waiting(vm, op, o);
	if (op == MEZZ_VM_STOP && is_to_run(vm)) {
		vm_stop_by_request(vm);
		return 0;
	}
	if (READ_ONCE(vm->state) != VM_RUNNING)
		return op <= MEZZ_VM_START ? -ENOENT : -EINVAL;
	switch (op) {
	case MEZZ_VM_SHUTDOWN:
		vpm_power_button(vm);
		return 0;
	case MEZZ_VM_PAUSE:
	case MEZZ_VM_RESUME:
		vm_pause(vm, op == MEZZ_VM_PAUSE);
		return 0;
	case MEZZ_VM_START:
		return -EBUSY;
	default:
		return -EINVAL;
	}
}

static void order(struct vm *vm, void *arg)
{
	struct order *o = arg;

	if (vm->id == o->id)
		o->result = obey(vm, o->op, o);
}

static s64 call_vm_do(u64 id, u64 op)
{
	struct order o = {.id = id, .op = op, .result = -ENOENT};

	vm_list_each(order, &o);
	if (o.begins)
		vm_begin(o.begins);
	return o.result;
}

// ---------------------------------------------------------------- the log

// What does not fit is read with the next call.
static s64 call_log(struct vcpu *v, u64 position, gpa_t buffer, u64 room)
{
	struct mezz_log log = {.position = position};
	s64 err;

	if (room < sizeof(log))
		return -EINVAL;
	log.size = (u32)log_read(&log.position, log.text, sizeof(log.text));
	err = root_give(v, &log, sizeof(log), buffer, room);
	return err < 0 ? err : (s64)log.size;
}

// ---------------------------------------------------------------- consoles

struct console {
	u64 id;
	struct mezz_log *log;   // what it said goes there
	u8 typed[VM_INPUT_MAX]; // or that much is typed for it
	size_t count;
	s64 result;
};

static void console_of(struct vm *vm, void *arg)
{
	struct console *c = arg;

	if (vm->id != c->id)
		return;
	if (vm->machine) {
		c->result = -EPERM;
	} else if (c->log) {
		c->log->size = (u32)vm_console_read(
			vm, &c->log->position, c->log->text, sizeof(c->log->text));
		c->result = c->log->size;
	} else {
		c->result = (s64)vm_console_type(vm, c->typed, c->count);
	}
}

static s64 call_console_read(struct vcpu *v, u64 id, u64 position, gpa_t buffer, u64 room)
{
	struct mezz_log log = {.position = position};
	struct console c = {.id = id, .log = &log, .result = -ENOENT};
	s64 err;

	if (room < sizeof(log))
		return -EINVAL;
	vm_list_each(console_of, &c);
	err = c.result < 0 ? 0 : root_give(v, &log, sizeof(log), buffer, room);
	return err < 0 ? err : c.result;
}

// What does not fit now is typed with a later call.
static s64 call_console_write(struct vcpu *v, u64 id, gpa_t buffer, u64 size)
{
	struct console c = {.id = id, .count = MIN(size, VM_INPUT_MAX), .result = -ENOENT};
	s64 err = root_take(v, c.typed, c.count, buffer, c.count);

	if (err < 0)
		return err;
	vm_list_each(console_of, &c);
	return c.result;
}

s64 root_call(struct vcpu *v, u64 nr, const u64 a[4])
{
	switch (nr) {
	case MEZZ_CALL_HOST:
		return call_host(v, gpa(a[2]), a[3]);
	case MEZZ_CALL_VM:
		return call_vm(v, a[0], gpa(a[2]), a[3]);
	case MEZZ_CALL_VM_DO:
		return call_vm_do(a[0], a[1]);
	case MEZZ_CALL_LOG:
		return call_log(v, a[0], gpa(a[2]), a[3]);
	case MEZZ_CALL_CONSOLE_READ:
		return call_console_read(v, a[0], a[1], gpa(a[2]), a[3]);
	case MEZZ_CALL_CONSOLE_WRITE:
		return call_console_write(v, a[0], gpa(a[2]), a[3]);
	default:
		return backend_call(v, nr, a);
	}
}
