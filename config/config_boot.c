// SPDX-License-Identifier: MIT
// Firmware and cloud-init in the configuration: firmware: FILE or [VARIABLES, CODE]; firmware_vars: {device: NAME};
// cloud_init: {user_data: FILE, network_config: FILE}.
#include "config/config_boot.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "config/config_disks.h"
#include "config/nocloud.h"
#include "common/util.h"

static bool read_file(
	struct document *d, const char *key, const yaml_node_t *node, char **path, off_t most)
{
	const char *text;
	struct stat st;

	if (!document_text(d, key, node, &text) ||
		!config_read_path(d, key, node, text, strlen(text), path))
		return false;
	if (stat(*path, &st) == 0 && st.st_size > most)
		return document_fail(d, node, "%s: '%.400s' has %lld bytes, expected at most %lld",
			key, *path, (long long)st.st_size, (long long)most);
	return true;
}

bool config_read_firmware(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_vm *vm = out;
	yaml_node_item_t *start = node->data.sequence.items.start;

	if (node->type != YAML_SEQUENCE_NODE)
		return read_file(d, "firmware", node, &vm->firmware[0], CONFIG_FIRMWARE_MAX);
	if (node->data.sequence.items.top - start != CONFIG_FIRMWARE_FILES)
		return document_fail(
			d, node, "firmware: not two files, expected [VARIABLES, CODE], or one");
	for (unsigned i = 0; i < CONFIG_FIRMWARE_FILES; i++)
		if (!read_file(d, "firmware", document_node(d, start[i]), &vm->firmware[i],
			    CONFIG_FIRMWARE_MAX / 2))
			return false;
	return true;
}

bool config_read_firmware_vars(struct document *d, void *out, const yaml_node_t *node)
{
	struct config_vm *vm = out;
	const char *expected = "expected {device: NAME}, NAME such as nvme0n1p3, or a PARTUUID";
	const yaml_node_pair_t *p = node->data.mapping.pairs.start;
	const char *text;

	if (node->type != YAML_MAPPING_NODE || node->data.mapping.pairs.top - p != 1)
		return document_fail(
			d, node, "firmware_vars: not a mapping of one key, %s", expected);
	if (!document_text(d, "key", document_node(d, p->key), &text))
		return false;
	if (strcmp(text, "device") != 0)
		return document_fail(d, document_node(d, p->key),
			"unknown key '%.40s' of firmware_vars, %s", text, expected);
	return config_read_device(d, document_node(d, p->value), &vm->firmware_vars);
}

static bool read_user_data(struct document *d, void *out, const yaml_node_t *node)
{
	return read_file(
		d, "user_data", node, &((struct config_vm *)out)->user_data, NOCLOUD_FILE_MAX);
}

static bool read_network_config(struct document *d, void *out, const yaml_node_t *node)
{
	return read_file(d, "network_config", node, &((struct config_vm *)out)->network_config,
		NOCLOUD_FILE_MAX);
}

bool config_read_cloud_init(struct document *d, void *out, const yaml_node_t *node)
{
	static const struct document_key keys[] = {
		{"user_data", read_user_data}, {"network_config", read_network_config}, {0}};
	const yaml_node_t *at[2] = {0};

	if (!document_mapping(d, node,
		    "cloud_init: not a mapping, expected {user_data: FILE, network_config: FILE}",
		    keys, out, at))
		return false;
	return at[0] || document_fail(d, node, "cloud_init: no user_data, expected a file name");
}

static bool use_debians(struct document *d, struct config_vm *vm, const yaml_node_t *node)
{
	static const char *const files[CONFIG_FIRMWARE_FILES] = {
		CONFIG_FIRMWARE_VARS, CONFIG_FIRMWARE_CODE};

	for (unsigned i = 0; i < CONFIG_FIRMWARE_FILES; i++) {
		if (access(files[i], R_OK) != 0)
			return document_fail(d, node,
				"this VM has no 'kernel' and there is no %s, expected Debian's "
				"package ovmf to be installed, or 'firmware'",
				files[i]);
		vm->firmware[i] = copy_text(files[i], strlen(files[i]));
	}
	return true;
}

bool config_check_boot(struct document *d, struct config_vm *vm, const yaml_node_t *node)
{
	if (vm->user_data && vm->disk_count == BUNDLE_MAX_DISKS)
		return document_fail(d, node, "cloud_init: with %d disks, expected at most %d",
			BUNDLE_MAX_DISKS, BUNDLE_MAX_DISKS - 1);
	if (vm->kernel && vm->firmware[0])
		return document_fail(
			d, node, "this VM has a 'kernel' and 'firmware', expected one of them");
	if (vm->kernel && vm->firmware_vars)
		return document_fail(d, node,
			"this VM has a 'kernel' and 'firmware_vars', expected one of them");
	if (vm->kernel)
		return true;
	if (!vm->disk_count)
		return document_fail(
			d, node, "this VM has no 'kernel', expected a file name, or disks to boot");
	if (vm->initrd || vm->module_count || vm->cmdline[0])
		return document_fail(d, node,
			"this VM has an initrd, modules or a cmdline, expected a 'kernel' for them");
	return vm->firmware[0] || use_debians(d, vm, node);
}

// Does the VM use the device, as a disk or for its variables?
static bool uses(const struct config_vm *vm, const char *device)
{
	for (unsigned i = 0; i < vm->disk_count; i++)
		if (vm->disks[i].device && strcmp(vm->disks[i].device, device) == 0)
			return true;
	return vm->firmware_vars && strcmp(vm->firmware_vars, device) == 0;
}

static bool fail_used(
	struct document *d, const yaml_node_t *node, const char *device, const char *owner)
{
	return document_fail(d, node,
		"firmware_vars: '%s' is used by %s, too, expected a device of its own", device,
		owner);
}

bool config_check_firmware_vars(struct document *d, const struct config *config,
	const struct config_vm *vm, const yaml_node_t *node)
{
	for (unsigned i = 0; i < vm->disk_count && vm->firmware_vars; i++)
		if (vm->disks[i].device && strcmp(vm->disks[i].device, vm->firmware_vars) == 0)
			return fail_used(d, node, vm->firmware_vars, vm->name);
	for (unsigned i = 0; i < config->vm_count; i++) {
		const struct config_vm *other = &config->vms[i];

		if (vm->firmware_vars && uses(other, vm->firmware_vars))
			return fail_used(d, node, vm->firmware_vars, other->name);
		if (other->firmware_vars && uses(vm, other->firmware_vars))
			return fail_used(d, node, other->firmware_vars, other->name);
	}
	return true;
}

void config_free_boot(struct config_vm *vm)
{
	for (unsigned i = 0; i < CONFIG_FIRMWARE_FILES; i++)
		free(vm->firmware[i]);
	free(vm->firmware_vars);
	free(vm->user_data);
	free(vm->network_config);
}
