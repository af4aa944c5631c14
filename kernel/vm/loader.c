// SPDX-License-Identifier: MIT
// Loading a guest's kernel: choice of the format, and what all formats need.

#include "kernel/vm/loader.h"
#include "kernel/vm/acpi_tables.h"
#include "kernel/vm/loader_parts.h"
#include "lib/errno.h"
#include "lib/string.h"

static const u8 zeros[256];

int load_fail(struct load *l, const char *why)
{
	l->why = why;
	return -EINVAL;
}

unsigned load_memory_map(const struct vm *vm, struct memory_entry map[static MEMORY_ENTRIES])
{
	unsigned n = 0;

	if (vm->machine)
		return vm->machine->memory_map(vm, map, MEMORY_ENTRIES);
	map[n++] = (struct memory_entry){0, GPA_VGA_HOLE, MEMORY_RAM};
	map[n++] = (struct memory_entry){GPA_VGA_END, GPA_BIOS_END - GPA_VGA_END, MEMORY_RESERVED};
	if (vm->ram_low > GPA_BIOS_END)
		map[n++] =
			(struct memory_entry){GPA_BIOS_END, vm->ram_low - GPA_BIOS_END, MEMORY_RAM};
	map[n++] = (struct memory_entry){GPA_ECAM, GPA_ECAM_SIZE, MEMORY_RESERVED};
	if (vm->ram_high)
		map[n++] = (struct memory_entry){GPA_RAM_HIGH, vm->ram_high, MEMORY_RAM};
	return n;
}

bool load_fits(const struct load *l, u64 start, u64 size)
{
	return start >= LOADER_KERNEL_MIN && start <= l->vm->ram_low &&
	       size <= l->vm->ram_low - start && size <= gmap_ram_left(&l->vm->gmap, start);
}

u64 load_low_take(struct load *l, u64 size)
{
	u64 at = ALIGN_UP(l->low, 16u);

	if (size > LOADER_LOW_END - at)
		return 0;
	l->low = at + size;
	return at;
}

u64 load_low_put(struct load *l, const void *data, size_t size)
{
	u64 at = load_low_take(l, size);

	if (!at)
		l->why = "its boot parameters do not fit into low memory";
	else if (!guest_write(l->vm, gpa(at), data, size))
		l->why = "out of memory";
	else
		return at;
	return 0;
}

u64 load_low_string(struct load *l, const char *text)
{
	return load_low_put(l, text, strlen(text) + 1);
}

int load_copy(struct load *l, u64 to, const u8 *data, u64 size)
{
	if (size && !guest_write(l->vm, gpa(to), data, size)) {
		l->why = "out of memory";
		return -ENOMEM;
	}
	return 0;
}

int load_zero(struct load *l, u64 to, u64 size)
{
	while (size) {
		u64 n = MIN(size, sizeof(zeros));

		if (load_copy(l, to, zeros, n))
			return -ENOMEM;
		to += n;
		size -= n;
	}
	return 0;
}

bool image_read(const struct image *i, u64 offset, void *to, u64 size)
{
	if (offset > i->size || size > i->size - offset)
		return false;
	memcpy(to, i->data + offset, size);
	return true;
}

struct image image_part(const struct image *i, u64 offset)
{
	if (offset > i->size)
		return (struct image){i->data, 0};
	return (struct image){i->data + offset, i->size - offset};
}

unsigned load_module_count(const struct load *l)
{
	return (l->config->initrd.size != 0) + l->config->module_count;
}

struct image load_module(const struct load *l, unsigned index, const char **args)
{
	const struct bundle_vm *c = l->config;

	*args = "";
	if (c->initrd.size && index-- == 0)
		return (struct image){c->initrd.data, c->initrd.size};
	*args = c->modules[index].args;
	return (struct image){c->modules[index].file.data, c->modules[index].file.size};
}

int load_modules(struct load *l, u64 after, struct memory_entry ranges[static LOADER_MODULES])
{
	unsigned n = load_module_count(l);
	u64 at = ALIGN_UP(after, PAGE_SIZE);

	if (n > LOADER_MODULES)
		return load_fail(l, "too many modules");
	for (unsigned i = 0; i < n; i++) {
		const char *args;
		struct image module = load_module(l, i, &args);

		if (!load_fits(l, at, module.size))
			return load_fail(l, "its memory is too small for its modules");
		if (load_copy(l, at, module.data, module.size))
			return -ENOMEM;
		ranges[i] = (struct memory_entry){at, module.size, MEMORY_RAM};
		at = ALIGN_UP(at + module.size, PAGE_SIZE);
	}
	return 0;
}

static int load_any(struct load *l)
{
	static int (*const formats[])(struct load *) = {
		load_bzimage, load_multiboot, load_pvh, load_firmware};

	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
		int err = formats[i](l);

		if (err != -ENOEXEC)
			return err;
	}
	l->why = "its kernel is no Linux bzImage, Multiboot kernel or ELF with a PVH note";
	return -ENOEXEC;
}

int loader_load(struct vm *vm, const struct bundle_vm *config, const char **why)
{
	struct load l = {
		.vm = vm,
		.config = config,
		.kernel = {config->kernel.data, config->kernel.size},
		.low = LOADER_LOW_START,
	};
	int err = vm->machine ? 0 : acpi_tables_write(vm, &l.rsdp);

	if (vm->machine)
		l.rsdp = gpa(vm->machine->rsdp(vm));
	if (err) {
		*why = "out of memory for its ACPI tables";
		return -ENOMEM;
	}
	err = load_any(&l);
	*why = l.why;
	return err;
}
