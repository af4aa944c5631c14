// SPDX-License-Identifier: MIT
// The firmware's part of a VM that has a back-end.
#include "kernel/micro/firmware.h"

#include "kernel/core/frame.h"
#include "kernel/core/model.h"
#include "kernel/micro/backend.h"
#include "kernel/vm/acpi_tables.h"
#include "kernel/vm/loader_parts.h"
#include "lib/firmware.h"

_Static_assert(FIRMWARE_VARS_MAX <= MEZZ_FIRMWARE_SIZE - MEZZ_FIRMWARE_VARS, "they have room");

static void changed(struct vflash *flash, u32 offset, u32 bytes)
{
	struct firmware *f = container_of(flash, struct firmware, flash);
	struct vm_backend *b = flash->vm->backend;

	(void)offset;
	(void)bytes;
	WRITE_ONCE(f->area->changes, ++f->changes);
	if (b->bells)
		backend_ring(flash->vm, &b->bells->vars, 1);
}

static void fill(struct vm *vm, struct firmware *f, bool bios, u32 vars)
{
	f->area->bios = bios;
	f->area->vars = vars;
	f->lpc.fw_cfg.area = (void *)((u8 *)f->area + MEZZ_FIRMWARE_ITEMS);
	f->lpc.fw_cfg.size = MEZZ_FIRMWARE_VARS - MEZZ_FIRMWARE_ITEMS;
	if (!vars)
		return;
	vflash_init(&f->flash, vm, (u8 *)f->area + MEZZ_FIRMWARE_VARS, vars);
	f->flash.changed = changed;
	f->lpc.flash = &f->flash;
}

// The back-end finds the ACPI tables that its fw_cfg is to tell of.
const char *firmware_create(struct vm *vm, struct firmware **f)
{
	const struct bundle_file *image = &vm->config->kernel;
	bool bios = firmware_is_bios(image->data, image->size);
	const char *why;
	gpa_t rsdp;
	u32 vars;

	*f = NULL;
	if (!bios && !firmware_is(image->data, image->size))
		return NULL;
	why = vflash_look(vm, &vars);
	if (why)
		return why;
	*f = kmem_alloc(sizeof(**f), vm->id);
	if (*f)
		(*f)->area = kmem_alloc(MEZZ_FIRMWARE_SIZE, vm->id);
	if (!*f || !(*f)->area || acpi_tables_write(vm, &rsdp))
		return "out of memory for its firmware";
	fill(vm, *f, bios, vars);
	return NULL;
}

void firmware_destroy(struct firmware *f)
{
	if (f->lpc.flash)
		vflash_stop(&f->flash);
	if (f->area)
		kmem_free(f->area, MEZZ_FIRMWARE_SIZE);
	kmem_free(f, sizeof(*f));
}

struct lpc *model_firmware(struct load *l, bool bios)
{
	struct firmware *f = l->vm->backend->firmware;

	(void)bios;
	if (f->lpc.flash)
		vflash_start(&f->flash);
	return &f->lpc;
}
