// SPDX-License-Identifier: MIT
// The disks of a VM in the configuration: [{image: FILE, format: raw, mode: rw}, {device: NAME, mode: ro}].
#include "config/config_disks.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/util.h"

#define SECTOR 512

static bool read_image(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_disk *disk = out;
	const char *text;
	struct stat st;

	if (!document_text(d, "image", node, &text) ||
		!config_read_path(d, "image", node, text, strlen(text), &disk->image))
		return false;
	if (stat(disk->image, &st) != 0 || st.st_size == 0 || st.st_size % SECTOR)
		return document_fail(d, node,
			"image: '%.400s' has %lld bytes, expected whole sectors of %d", disk->image,
			(long long)st.st_size, SECTOR);
	disk->size = (uint64_t)st.st_size;
	return true;
}

bool config_read_device(struct document *d, const yaml_node_t *node, char **out)
{
	const char *text;
	size_t length;

	if (!document_text(d, "device", node, &text))
		return false;
	length = strlen(text);
	if (!length || length > BUNDLE_DEVICE_MAX ||
		length != strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789-_."))
		return document_fail(d, node,
			"device: '%.60s', expected a name such as nvme0n1p3, a PARTUUID, or a serial number",
			text);
	free(*out);
	*out = copy_text(text, length);
	return true;
}

static bool read_device(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_disk *disk = out;

	return config_read_device(d, node, &disk->device);
}

static bool read_format(struct document *d, void *out, const yaml_node_t *node)
{
	const char *text;

	(void)out;
	if (!document_text(d, "format", node, &text))
		return false;
	if (strcmp(text, "raw") != 0)
		return document_fail(d, node, "format: '%.40s', expected raw", text);
	return true;
}

static bool read_mode(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_disk *disk = out;
	static const char *const names[] = {"rw", "ro", "snapshot"};
	const char *text;

	if (!document_text(d, "mode", node, &text))
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0) {
			disk->mode = (enum config_disk_mode)i;
			return true;
		}
	}
	return document_fail(d, node, "mode: '%.40s', expected rw, ro or snapshot", text);
}

static const struct document_key keys[] = {{"image", read_image}, {"device", read_device},
	{"format", read_format}, {"mode", read_mode}, {0}};

static bool read_disk(struct document *d, struct config_vm *vm, const yaml_node_t *node)
{
	struct config_disk *disk = &vm->disks[vm->disk_count];

	if (vm->disk_count == BUNDLE_MAX_DISKS)
		return document_fail(
			d, node, "disks: one more, expected at most %d", BUNDLE_MAX_DISKS);
	vm->disk_count++;
	if (!document_mapping(d, node,
		    "disks: not a mapping, expected a disk as in {image: FILE, mode: rw}", keys,
		    disk, NULL))
		return false;
	if (!disk->image == !disk->device)
		return document_fail(d, node,
			disk->image ? "this disk has an image and a device, expected one of them"
				    : "this disk has no image, expected one, or a device");
	if (disk->device && disk->mode == CONFIG_DISK_SNAPSHOT)
		return document_fail(d, node, "mode: snapshot of a device, expected rw or ro");
	return true;
}

bool config_read_disks(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_vm *vm = out;

	if (node->type != YAML_SEQUENCE_NODE)
		return document_fail(
			d, node, "disks: not a list, expected [{image: FILE, mode: rw}, ...]");
	for (yaml_node_item_t *i = node->data.sequence.items.start;
		i < node->data.sequence.items.top; i++)
		if (!read_disk(d, vm, document_node(d, *i)))
			return false;
	return true;
}

static bool same(const struct config_disk *a, const struct config_disk *b)
{
	struct stat sa, sb;

	if (a->device || b->device)
		return a->device && b->device && strcmp(a->device, b->device) == 0;
	return stat(a->image, &sa) == 0 && stat(b->image, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

// Is one of the first `count` disks of vm the same, and is it or this one written?
static bool clashes(const struct config_vm *vm, unsigned count, const struct config_disk *disk)
{
	for (unsigned i = 0; i < count; i++)
		if ((disk->mode == CONFIG_DISK_RW || vm->disks[i].mode == CONFIG_DISK_RW) &&
			same(&vm->disks[i], disk))
			return true;
	return false;
}

bool config_check_disks(struct document *d, const struct config *config, const struct config_vm *vm,
	const yaml_node_t *node)
{
	for (unsigned n = 0; n < vm->disk_count; n++) {
		const struct config_disk *disk = &vm->disks[n];
		const char *owner = clashes(vm, n, disk) ? vm->name : NULL;

		for (unsigned i = 0; !owner && i < config->vm_count; i++)
			if (clashes(&config->vms[i], config->vms[i].disk_count, disk))
				owner = config->vms[i].name;
		if (owner)
			return document_fail(d,
				document_node(d, node->data.sequence.items.start[n]),
				"disks: '%.400s' is a disk of %s too, expected no other user of a disk "
				"that is written",
				disk->image ? disk->image : disk->device, owner);
	}
	return true;
}

void config_free_disks(struct config_vm *vm)
{
	for (unsigned i = 0; i < vm->disk_count; i++) {
		free(vm->disks[i].image);
		free(vm->disks[i].device);
	}
}
