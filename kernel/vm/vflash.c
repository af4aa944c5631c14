// SPDX-License-Identifier: MIT
// The chip's place in the guest's memory, and what it starts with.
#include "kernel/vm/vflash.h"

#include "kernel/vm/vm.h"
#include "lib/firmware.h"
#include "lib/string.h"

#define FOUR_GIB 0x100000000ull

static void chip_changed(struct pflash *chip, u32 offset, u32 bytes)
{
	struct vflash *f = container_of(chip, struct vflash, chip);

	f->changed(f, offset, bytes);
}

// A vcpu that has not flushed yet may read the array a moment longer, as if it had read it before.
static void chip_readable(struct pflash *chip, bool array)
{
	struct vflash *f = container_of(chip, struct vflash, chip);
	struct vm *vm = f->vm;

	if (array) {
		if (!gmap_map_rom(&vm->gmap, f->at, f->data, f->size))
			vm_stop(vm, "out of memory for its firmware's variables");
		return;
	}
	gmap_unmap_rom(&vm->gmap, f->at, f->size);
	for (u32 i = 0; i < vm->vcpu_count; i++)
		vcpu_post(vm->vcpus[i], VCPU_FLUSH);
}

static const struct pflash_ops chip_ops = {
	.changed = chip_changed,
	.readable = chip_readable,
};

const char *vflash_look(const struct vm *vm, u32 *size)
{
	const struct bundle_file *image = &vm->config->kernel;

	*size = 0;
	return firmware_is(image->data, image->size) ? firmware_look(image->data, image->size, size)
						     : NULL;
}

void vflash_init(struct vflash *f, struct vm *vm, u8 *data, u32 size)
{
	const struct bundle_file *image = &vm->config->kernel;

	f->vm = vm;
	f->data = data;
	f->size = size;
	f->at = FOUR_GIB - image->size;
	memcpy(data, image->data, size);
	pflash_init(&f->chip, &chip_ops, data, size);
}

// Firmware crashes over variables whose headers are not good. A guest that erased them, or a reset while firmware rewrote them all,
// shall not leave a VM that cannot start.
static void repair(struct vflash *f)
{
	const u8 *template = f->vm->config->kernel.data;

	if (firmware_vars_good(f->data, f->size) || !firmware_vars_good(template, f->size))
		return;
	log_vm(f->vm, "its firmware's variables are damaged: they begin anew");
	memcpy(f->data, template, f->size);
	f->changed(f, 0, f->size);
}

void vflash_start(struct vflash *f)
{
	spin_lock(&f->vm->lock);
	repair(f);
	pflash_reset(&f->chip);
	chip_readable(&f->chip, true);
	spin_unlock(&f->vm->lock);
}

void vflash_stop(struct vflash *f)
{
	gmap_unmap_rom(&f->vm->gmap, f->at, f->size);
}
