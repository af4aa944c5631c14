// SPDX-License-Identifier: MIT
// The variable store of a VM's firmware: its chip in the guest's memory, its life.
#include "kernel/mono/nvram.h"

#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/mono/nvram_disk.h"
#include "kernel/vm/vflash.h"
#include "kernel/vm/vm.h"
#include "lib/firmware.h"
#include "lib/string.h"
#include "storage/twin.h"

_Static_assert(FIRMWARE_VARS_MAX <= TWIN_BLOCKS * TWIN_BLOCK, "a slot holds them");

struct nvram {
	struct vflash flash; // its VM is NULL: it waits for the next life of that
	u8 *data;
	u32 size;
	struct nvram_disk *disk; // NULL: in memory only
};

// By the VM's index; of what is VM's own under vm->lock.
static struct nvram *stores[BUNDLE_MAX_VMS];

static void changed(struct vflash *f, u32 offset, u32 bytes)
{
	struct nvram *n = container_of(f, struct nvram, flash);

	if (n->disk)
		nvram_disk_changed(n->disk, offset, bytes);
}

// The line of the bundle that names the copy's device; NULL: none.
static const char *device_of(const struct vm *vm)
{
	for (unsigned i = 0; i < vm->config->io_count; i++)
		if (strcmp(vm->config->io[i].key, "vars") == 0)
			return vm->config->io[i].value;
	return NULL;
}

static void store_free(struct nvram *n)
{
	if (n->disk)
		nvram_disk_close(n->disk);
	if (n->data)
		kmem_free(n->data, n->size);
	kmem_free(n, sizeof(*n));
}

static const char *store_fill(struct vm *vm, struct nvram *n, const char *device)
{
	const char *why = NULL;

	vflash_init(&n->flash, vm, n->data, n->size);
	n->flash.changed = changed;
	if (device) {
		n->disk = nvram_disk_open(device, n->data, n->size, firmware_vars_good, &why);
		if (n->disk)
			log_line("%s: its firmware's variables are kept on %s", vm->name, device);
	}
	return why;
}

static struct nvram *store_create(struct vm *vm, u32 size, const char *device, const char **why)
{
	struct nvram *n = kmem_alloc(sizeof(*n), FRAME_OWNER_KERNEL);

	*why = "not enough free memory for its variable store";
	if (!n)
		return NULL;
	n->size = size;
	n->data = kmem_alloc(size, FRAME_OWNER_KERNEL);
	if (n->data)
		*why = store_fill(vm, n, device);
	if (*why) {
		store_free(n);
		return NULL;
	}
	return n;
}

const char *nvram_create(struct vm *vm)
{
	struct nvram **store = &stores[vm->index];
	const char *device = device_of(vm), *why;
	u32 size;

	why = vflash_look(vm, &size);
	if (!why && device && !size)
		why = "its firmware has no variables that a device could keep";
	if (why || !size)
		return why;
	if (!*store)
		*store = store_create(vm, size, device, &why);
	if (!*store)
		return why;
	(*store)->flash.vm = vm;
	if ((*store)->disk)
		nvram_disk_attach((*store)->disk, vm);
	return NULL;
}

struct vflash *nvram_start(struct vm *vm)
{
	struct nvram *n = stores[vm->index];

	if (!n)
		return NULL;
	vflash_start(&n->flash);
	return &n->flash;
}

bool nvram_quiet(struct vm *vm)
{
	struct nvram *n = stores[vm->index];
	bool quiet = true;

	if (!n || !n->disk)
		return true;
	spin_lock(&vm->lock);
	quiet = nvram_disk_quiet(n->disk);
	spin_unlock(&vm->lock);
	return quiet;
}

void nvram_destroy(struct vm *vm)
{
	bool again = vm->runs_left && (vm->end == VM_END_POWEROFF || vm->end == VM_END_EXIT);
	struct nvram *n = stores[vm->index];

	if (!n || n->flash.vm != vm)
		return;
	vflash_stop(&n->flash);
	n->flash.vm = NULL;
	if (n->disk)
		nvram_disk_attach(n->disk, NULL);
	if (n->disk && again)
		return;
	stores[vm->index] = NULL;
	store_free(n);
}
