// SPDX-License-Identifier: MIT
// Hypercalls about virtual devices of other VMs (abi/hypercall.h), from their back-ends and from the root VM's kernel.
#include "kernel/core/bundle_disk.h"
#include "kernel/core/log.h"
#include "kernel/core/pcpu.h"
#include "kernel/micro/backend.h"
#include "kernel/micro/create.h"
#include "kernel/micro/root.h"
#include "kernel/vm/vm_list.h"
#include "lib/errno.h"
#include "lib/string.h"

struct call {
	struct vcpu *v;
	u64 nr;
	u32 id, high; // the two halves of the first argument
	u64 value;    // the second
	gpa_t buffer;
	u64 room;
	s64 result;
};

// ---------------------------------------------------------------- what the definition says

static const struct bundle_line *line_of(const struct vm *vm, u64 n)
{
	return n < vm->config->io_count ? &vm->config->io[n] : NULL;
}

static s64 call_line(struct vm *vm, const struct call *c)
{
	const struct bundle_line *l = line_of(vm, c->value);
	char text[512];
	size_t n;

	if (!l)
		return -ENOENT;
	n = format(text, sizeof(text), "%s %s", l->key, l->value);
	return root_give(c->v, text, MIN(n, sizeof(text) - 1), c->buffer, c->room);
}

static s64 call_file(struct vm *vm, const struct call *c)
{
	const struct bundle_line *l = line_of(vm, c->high);
	struct bundle_disk d;
	const char *why;

	if (!l || strcmp(l->key, "disk") != 0 ||
		!bundle_disk_parse(vm->config, c->high, &d, &why) || !d.image.data)
		return -ENOENT;
	if (c->value >= d.image.size)
		return 0;
	return root_give(
		c->v, d.image.data + c->value, d.image.size - c->value, c->buffer, c->room);
}

// ---------------------------------------------------------------- devices

static s64 call_add(struct vm *vm, const struct call *c)
{
	struct mezz_device d;
	s64 err = root_take(c->v, &d, sizeof(d), c->buffer, c->room);

	if (err)
		return err;
	return atomic_load(&vm->waiting) ? remote_add(vm, &d) : -EBUSY;
}

static s64 call_state(struct remote *r, const struct call *c)
{
	struct mezz_device_state s;
	s64 err = remote_state(r, &s);

	return err ? err : root_give(c->v, &s, sizeof(s), c->buffer, c->room);
}

static s64 call_config(struct remote *r, const struct call *c)
{
	u8 config[MEZZ_CONFIG_SIZE];
	s64 err = c->room <= sizeof(config) ? root_take(c->v, config, c->room, c->buffer, c->room)
					    : -EINVAL;

	return err ? err : remote_config(r, config, c->room);
}

static s64 call_device(struct vm *vm, const struct call *c)
{
	struct remote *r = c->high < MEZZ_SLOTS ? vm->backend->device[c->high] : NULL;

	if (c->nr == MEZZ_CALL_DEVICE_DO && c->value == MEZZ_DEVICE_SAVED) {
		pcpu_post(this_pcpu(), WORK_REAP); // it may be what the VM's reset waits for
		return 0;
	}
	if (!r)
		return -ENOENT;
	switch (c->nr) {
	case MEZZ_CALL_DEVICE_STATE:
		return call_state(r, c);
	case MEZZ_CALL_DEVICE_INTERRUPT:
		return remote_interrupt(r, c->value);
	case MEZZ_CALL_DEVICE_DO:
		return remote_do(r, c->value);
	default:
		return call_config(r, c);
	}
}

// ---------------------------------------------------------------- the back-end

static s64 call_attach(struct vm *vm, const struct call *c)
{
	struct mezz_bells *bells = root_page(c->v, c->buffer);

	if (!bells)
		return -EFAULT;
	if (atomic_load(&vm->state) == VM_STOPPING)
		return -ENOENT;
	if (vm->backend->bells)
		return -EBUSY;
	vm->backend->bells = bells;
	vm->rest = &vm->backend->rest;
	return (s64)vm->backend->serial;
}

static s64 call_detach(struct vm *vm)
{
	struct vm_backend *b = vm->backend;

	if (!b->bells)
		return -EINVAL;
	b->bells = NULL;
	vm->rest = NULL;
	for (unsigned i = 0; i < MEZZ_SLOTS; i++)
		if (b->device[i])
			remote_detached(b->device[i]);
	pcpu_post(this_pcpu(), WORK_REAP);
	return 0;
}

static s64 call_locked(struct vm *vm, const struct call *c)
{
	switch (c->nr) {
	case MEZZ_CALL_VM_LINE:
		return call_line(vm, c);
	case MEZZ_CALL_VM_FILE:
		return call_file(vm, c);
	case MEZZ_CALL_DEVICE_ADD:
		return call_add(vm, c);
	case MEZZ_CALL_ATTACH:
		return call_attach(vm, c);
	case MEZZ_CALL_DETACH:
		return call_detach(vm);
	case MEZZ_CALL_MAP:
		return vm->backend->bells ? backend_lend(vm, c->value) : -EBUSY;
	default:
		return call_device(vm, c);
	}
}

// VMs that need no back-end have no devices of this kind.
static void call_one(struct vm *vm, void *arg)
{
	struct call *c = arg;

	if (vm->id != c->id || !vm->backend)
		return;
	spin_lock(&vm->lock);
	c->result = call_locked(vm, c);
	spin_unlock(&vm->lock);
}

static s64 call_vm(struct call *c)
{
	vm_list_each(call_one, c);
	return c->result;
}

s64 backend_call(struct vcpu *v, u64 nr, const u64 a[4])
{
	struct call c = {
		.v = v,
		.nr = nr,
		.id = (u32)a[0],
		.high = (u32)(a[0] >> 32),
		.value = a[1],
		.buffer = gpa(a[2]),
		.room = a[3],
		.result = -ENOENT,
	};
	void *page;

	switch (nr) {
	case MEZZ_CALL_VM_LINE ... MEZZ_CALL_DEVICE_CONFIG:
	case MEZZ_CALL_ATTACH ... MEZZ_CALL_MAP:
		return call_vm(&c);
	case MEZZ_CALL_EVENTS:
		page = root_page(v, c.buffer);
		return page ? backend_events(v->vm, page) : -EFAULT;
	case MEZZ_CALL_RAM:
		return root_call_ram(v, a[0], c.buffer, c.room);
	case MEZZ_CALL_BUNDLE_BEGIN ... MEZZ_CALL_VM_CREATE:
		return create_call(v, nr, a);
	default:
		return -ENOSYS;
	}
}
