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

// Cuts the next word off *text into to[size]; false: there is none, or it is too long.
static bool next_word(const char **text, char *to, size_t size)
{
	const char *space = strchr(*text, ' ');
	size_t n = space ? (size_t)(space - *text) : strlen(*text);

	if (!n || n >= size)
		return false;
	memcpy(to, *text, n);
	to[n] = 0;
	*text += n + (space ? 1 : 0);
	return true;
}

static bool parse_mode(const char *text, enum bundle_disk_mode *mode)
{
	static const char *const names[] = {"rw", "ro", "snapshot"};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*mode = (enum bundle_disk_mode)i;
			return true;
		}
	}
	return false;
}

static bool is_device(const char *value)
{
	return strlen(value) > 7 && memcmp(value, "device ", 7) == 0;
}

// Does a disk line name the member?
static bool line_names(const struct bundle_line *l, const char *member)
{
	char word[BUNDLE_NAME_MAX + 1];
	const char *text = l->value;

	return strcmp(l->key, "disk") == 0 && !is_device(text) &&
	       next_word(&text, word, sizeof(word)) && strcmp(word, member) == 0;
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

static bool parse_device(const char *text, struct bundle_disk *out, const char **why)
{
	if (!next_word(&text, out->device, sizeof(out->device)))
		return fail(why, "disk: a device's name of up to 36 characters was expected");
	if (!parse_mode(text, &out->mode) || out->mode == BUNDLE_DISK_SNAPSHOT)
		return fail(why, "disk: rw or ro was expected for a device");
	return true;
}

static bool parse_image(
	const struct bundle *b, const char *text, struct bundle_disk *out, const char **why)
{
	char member[BUNDLE_NAME_MAX + 1];
	struct cpio_member m;

	if (!next_word(&text, member, sizeof(member)) || !cpio_find(b->data, b->size, member, &m))
		return fail(why, "disk: a member of the archive was expected");
	if (!parse_mode(text, &out->mode))
		return fail(why, "disk: rw, ro or snapshot was expected");
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
	const char *text = vm->io[line].value;

	*out = (struct bundle_disk){0};
	if (is_device(text))
		return parse_device(text + 7, out, why);
	return parse_image(vm->bundle, text, out, why);
}
