// SPDX-License-Identifier: MIT
// VMs whose devices are served by the root VM: when they wait, and when they are quiet.
#include "kernel/micro/backend.h"
#include "kernel/core/frame.h"
#include "kernel/core/pcpu.h"
#include "lib/errno.h"
#include "lib/firmware.h"
#include "lib/string.h"

static u64 made; // a: VMs with devices so far

static bool is_key(const struct bundle_line *l, const char *key)
{
	return strcmp(l->key, key) == 0;
}

const char *backend_lines(const struct bundle_vm *c, bool *devices)
{
	*devices = firmware_is_bios(c->kernel.data, c->kernel.size) ||
		   firmware_is(c->kernel.data, c->kernel.size);
	for (unsigned i = 0; i < c->io_count; i++) {
		const struct bundle_line *l = &c->io[i];

		if (is_key(l, "balloon") && strcmp(l->value, "off") != 0)
			return "only mono gives a balloon";
		*devices |= is_key(l, "disk") || is_key(l, "nic");
	}
	return NULL;
}

const char *backend_create(struct vm *vm, bool has_root)
{
	bool devices;
	const char *why = backend_lines(vm->config, &devices);

	if (why || !devices)
		return why;
	if (!has_root)
		return "disks and network cards need a root VM: `root:` was expected";
	if (vm->id >= MEZZ_MAX_VMS)
		return "too many VMs with disks or network cards";
	vm->backend = kmem_alloc(sizeof(*vm->backend), vm->id);
	if (!vm->backend)
		return "out of memory for its devices";
	vm->backend->host.vm = vm;
	vm->backend->serial = atomic_add(&made, 1) + 1;
	vm->waiting = 1;
	return firmware_create(vm, &vm->backend->firmware);
}

void backend_destroy(struct vm *vm)
{
	struct vm_backend *b = vm->backend;

	if (!b)
		return;
	for (unsigned i = 0; i < MEZZ_SLOTS; i++)
		if (b->device[i])
			remote_free(b->device[i]);
	if (b->firmware)
		firmware_destroy(b->firmware);
	kmem_free(b, sizeof(*b));
	vm->backend = NULL;
}

static bool devices_quiet(struct vm_backend *b)
{
	bool quiet = true;

	for (unsigned i = 0; i < MEZZ_SLOTS; i++)
		if (b->device[i])
			quiet = remote_quiet(b->device[i]) && quiet;
	return quiet;
}

// A VM that starts again keeps its back-end.
static bool is_quiet(struct vm *vm)
{
	struct vm_backend *b = vm->backend;

	if (!devices_quiet(b))
		return false;
	if (vm->end == VM_END_RESET)
		return !b->bells || !b->firmware || firmware_saved(b->firmware);
	if (b->bells) {
		backend_ring(vm, &b->bells->vm, MEZZ_BELL_END);
		return false;
	}
	if (backend_take_back(vm))
		return true;
	pcpu_post(this_pcpu(), WORK_REAP); // a slice was done
	return false;
}

bool backend_quiet(struct vm *vm)
{
	bool quiet = true;

	if (!vm->backend)
		return true;
	spin_lock(&vm->lock);
	quiet = is_quiet(vm);
	spin_unlock(&vm->lock);
	return quiet;
}
