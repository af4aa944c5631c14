// SPDX-License-Identifier: MIT
// The `disk` lines of the boot bundle (abi/bundle.h).
#include "kernel/core/bundle_disk.h"
#include "kernel/core/cpio.h"
#include "lib/string.h"

#define SECTOR 512u

static bool fail(const char **why, const char *text)
{
	*why = text;
	return false;
}

int bundle_disk_line(const struct bundle_vm *vm, unsigned n)
{
	for (unsigned i = 0; i < vm->io_count; i++)
		if (strcmp(vm->io[i].key, "disk") == 0 && n-- == 0)
			return (int)i;
	return -1;
}

// Does a disk line name the member?
static bool line_names(const struct bundle_line *l, const char *member)
{
	struct disk_line d;

	return strcmp(l->key, "disk") == 0 && !disk_line_parse(&d, l->value) && !d.device &&
	       strcmp(d.name, member) == 0;
}

// How many lines of the VM name the member, whose bytes are at data.
static unsigned count_users(const struct bundle_vm *vm, const char *member, const u8 *data)
{
	unsigned n = (vm->kernel.data == data ? 1u : 0u) + (vm->initrd.data == data ? 1u : 0u);

	for (unsigned i = 0; i < vm->module_count; i++)
		n += vm->modules[i].file.data == data;
	for (unsigned i = 0; i < vm->io_count; i++)
		n += line_names(&vm->io[i], member);
	return n;
}

static bool used_once(const struct bundle *b, const char *member, const u8 *data)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->count; i++)
		n += count_users(&b->vms[i], member, data);
	return n == 1;
}

static bool find_image(
	const struct bundle *b, const char *member, struct bundle_disk *out, const char **why)
{
	struct cpio_member m;

	if (!cpio_find(b->data, b->size, member, &m))
		return fail(why, "disk: a member of the archive was expected");
	if (!m.size || m.size % SECTOR)
		return fail(why, "disk: an image of whole sectors of 512 bytes was expected");
	if (out->mode == BUNDLE_DISK_RW && !used_once(b, member, m.data))
		return fail(why, "disk: its image is to be written and is used twice");
	out->image = (struct bundle_file){m.data, m.size};
	return true;
}

bool bundle_disk_parse(
	const struct bundle_vm *vm, unsigned line, struct bundle_disk *out, const char **why)
{
	struct disk_line d;
	const char *wrong = disk_line_parse(&d, vm->io[line].value);

	*out = (struct bundle_disk){0};
	if (wrong)
		return fail(why, wrong);
	out->mode = d.mode;
	if (!d.device)
		return find_image(vm->bundle, d.name, out, why);
	memcpy(out->device, d.name, sizeof(d.name));
	return true;
}
