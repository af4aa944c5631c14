// SPDX-License-Identifier: MIT
// The variable store of a VM's firmware: its chip in the guest's memory, its life.
#include "kernel/mono/nvram.h"

#include "devices/pflash.h"
#include "kernel/core/frame.h"
#include "kernel/core/log.h"
#include "kernel/mono/nvram_disk.h"
#include "kernel/vm/vm.h"
#include "lib/firmware.h"
#include "lib/string.h"
#include "storage/twin.h"

#define FOUR_GIB 0x100000000ull

_Static_assert(FIRMWARE_VARS_MAX <= TWIN_BLOCKS * TWIN_BLOCK, "a slot holds them");

struct nvram {
	struct vm *vm; // NULL: it waits for the VM's next life
	struct pflash chip;
	u8 *data;
	u32 size;
	u64 at;                  // guest-physical
	struct nvram_disk *disk; // NULL: in memory only
};

// By the VM's index; of what is VM's own under vm->lock.
static struct nvram *stores[BUNDLE_MAX_VMS];

static void chip_changed(struct pflash *f, u32 offset, u32 bytes)
{
	struct nvram *n = container_of(f, struct nvram, chip);

	if (n->disk)
		nvram_disk_changed(n->disk, offset, bytes);
}

// A vcpu that has not flushed yet may read the array a moment longer, as if it had read it before.
static void chip_readable(struct pflash *f, bool array)
{
	struct nvram *n = container_of(f, struct nvram, chip);
	struct vm *vm = n->vm;

	if (array) {
		if (!gmap_map_rom(&vm->gmap, n->at, n->data, n->size))
			vm_stop(vm, "out of memory for its firmware's variables");
		return;
	}
	gmap_unmap_rom(&vm->gmap, n->at, n->size);
	for (u32 i = 0; i < vm->vcpu_count; i++)
		vcpu_post(vm->vcpus[i], VCPU_FLUSH);
}

static const struct pflash_ops chip_ops = {
	.changed = chip_changed,
	.readable = chip_readable,
};

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

	memcpy(n->data, vm->config->kernel.data, n->size);
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
	n->at = FOUR_GIB - vm->config->kernel.size;
	n->data = kmem_alloc(size, FRAME_OWNER_KERNEL);
	if (n->data)
		*why = store_fill(vm, n, device);
	if (*why) {
		store_free(n);
		return NULL;
	}
	pflash_init(&n->chip, &chip_ops, n->data, size);
	return n;
}

const char *nvram_create(struct vm *vm)
{
	const struct bundle_file *image = &vm->config->kernel;
	const char *device = device_of(vm), *why = NULL;
	struct nvram **store = &stores[vm->index];
	u32 size = 0;

	if (firmware_is(image->data, image->size))
		why = firmware_look(image->data, image->size, &size);
	if (!why && device && !size)
		why = "its firmware has no variables that a device could keep";
	if (why || !size)
		return why;
	if (!*store)
		*store = store_create(vm, size, device, &why);
	if (!*store)
		return why;
	(*store)->vm = vm;
	if ((*store)->disk)
		nvram_disk_attach((*store)->disk, vm);
	return NULL;
}

// Firmware crashes over variables whose headers are not good. A guest that erased them, or a reset while firmware rewrote them all,
// shall not leave a VM that cannot start.
static void store_repair(struct vm *vm, struct nvram *n)
{
	const u8 *template = vm->config->kernel.data;

	if (firmware_vars_good(n->data, n->size) || !firmware_vars_good(template, n->size))
		return;
	log_vm(vm, "its firmware's variables are damaged: they begin anew");
	memcpy(n->data, template, n->size);
	chip_changed(&n->chip, 0, n->size);
}

struct pflash *nvram_start(struct vm *vm, u64 *at, u32 *size)
{
	struct nvram *n = stores[vm->index];

	*size = 0;
	if (!n)
		return NULL;
	*at = n->at;
	*size = n->size;
	spin_lock(&vm->lock);
	store_repair(vm, n);
	pflash_reset(&n->chip);
	chip_readable(&n->chip, true);
	spin_unlock(&vm->lock);
	return &n->chip;
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

	if (!n || n->vm != vm)
		return;
	gmap_unmap_rom(&vm->gmap, n->at, n->size);
	n->vm = NULL;
	if (n->disk)
		nvram_disk_attach(n->disk, NULL);
	if (n->disk && again)
		return;
	stores[vm->index] = NULL;
	store_free(n);
}
