// SPDX-License-Identifier: MIT
// What the kernel tells of a VM, and of the machine, as JSON (abi/openapi.yaml); the caller frees it.
#pragma once

#include <json-c/json.h>

#include "abi/hypercall.h"

const char *vm_state_name(const struct mezz_vm *vm);
struct json_object *vm_json(const struct mezz_vm *vm);
struct json_object *host_json(const struct mezz_host *h);
