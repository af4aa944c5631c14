// SPDX-License-Identifier: MIT
// What a VM that boots its disk has in the configuration instead of a kernel: firmware, and cloud-init's files.
#pragma once

#include "config/config.h"
#include "config/document.h"

// Debian's package ovmf; the variables first, as they lie in memory.
#define CONFIG_FIRMWARE_VARS "/usr/share/OVMF/OVMF_VARS_4M.fd"
#define CONFIG_FIRMWARE_CODE "/usr/share/OVMF/OVMF_CODE_4M.fd"

// The values of `firmware`, `firmware_vars` and `cloud_init`; vm is a struct config_vm here and for the other readers of keys.
bool config_read_firmware(struct document *d, void *vm, const yaml_node_t *node);
bool config_read_firmware_vars(struct document *d, void *vm, const yaml_node_t *node);
bool config_read_cloud_init(struct document *d, void *vm, const yaml_node_t *node);

// A VM has a kernel, or disks and firmware; without either key the firmware is Debian's.
bool config_check_boot(struct document *d, struct config_vm *vm, const yaml_node_t *node);

// The device of `firmware_vars`, if there is one, is used for nothing else.
bool config_check_firmware_vars(struct document *d, const struct config *config,
	const struct config_vm *vm, const yaml_node_t *node);

void config_free_boot(struct config_vm *vm);
