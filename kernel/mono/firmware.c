// SPDX-License-Identifier: MIT
// What VMs that start from firmware are told, and the bridges that tell it.
#include "kernel/mono/firmware.h"

#include "devices/fw_tell.h"
#include "kernel/core/frame.h"
#include "kernel/core/model.h"
#include "kernel/mono/nvram.h"
#include "kernel/vm/loader_parts.h"
#include "kernel/vm/lpc.h"

struct firmware {
	struct lpc lpc;
	struct fw_machine machine;
	u8 area[FW_TELL_AREA] __attribute__((aligned(8)));
};

// By the VM's index; made at its first start.
static struct firmware *firmwares[BUNDLE_MAX_VMS];

static const char *tell(struct vm *vm, struct firmware *f, bool bios)
{
	struct fw_machine *m = &f->machine;

	m->cpus = (u16)vm->vcpu_count;
	m->bios = bios;
	m->ram_low = vm->ram_low;
	m->ram_high = vm->ram_high;
	m->base = GPA_BIOS;
	if (!guest_read(vm, gpa(GPA_BIOS), m->tables, sizeof(m->tables)))
		return "its ACPI tables cannot be read";
	return fw_tell(m, f->area, sizeof(f->area));
}

struct lpc *model_firmware(struct load *l, bool bios)
{
	struct firmware **f = &firmwares[l->vm->index];

	if (!*f)
		*f = kmem_alloc(sizeof(**f), l->vm->id);
	l->why = *f ? tell(l->vm, *f, bios) : "out of memory";
	if (l->why)
		return NULL;
	(*f)->lpc.fw_cfg.area = (const void *)(*f)->area;
	(*f)->lpc.fw_cfg.size = sizeof((*f)->area);
	(*f)->lpc.flash = nvram_start(l->vm);
	return &(*f)->lpc;
}

void firmware_destroy(struct vm *vm)
{
	struct firmware *f = firmwares[vm->index];

	if (!f)
		return;
	firmwares[vm->index] = NULL;
	kmem_free(f, sizeof(*f));
}
