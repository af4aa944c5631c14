// SPDX-License-Identifier: MIT
// The disks of a VM in the configuration.
#pragma once

#include "config/config.h"
#include "config/document.h"

// A path relative to the configuration's folder, of a file that can be read now (config.c).
bool config_read_path(struct document *d, const char *key, const yaml_node_t *node,
	const char *text, size_t length, char **out);

// The name or PARTUUID of a device of the machine's.
bool config_read_device(struct document *d, const yaml_node_t *node, char **out);

// The list that is the value of `disks`; vm is a struct config_vm.
bool config_read_disks(struct document *d, void *vm, const yaml_node_t *node);

// A disk that is written is nobody else's: neither another disk of vm's nor one of the VMs before it.
bool config_check_disks(struct document *d, const struct config *config, const struct config_vm *vm,
	const yaml_node_t *node);

void config_free_disks(struct config_vm *vm);
