// SPDX-License-Identifier: MIT
// The definition of one VM as JSON: an object with the keys of a VM in the configuration (config.h), and the `switches` of its network
// cards. What the API takes, and mezzd keeps (abi/openapi.yaml).
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

#define DEFINITION_MAX (256u << 10) // bytes of the text

// Reads the text of a definition: its syntax and types only. NULL with one line in error (CONFIG_ERROR_MAX bytes).
struct json_object *definition_parse(const char *text, size_t size, char *error);

// Checks it as a configuration is checked, with the files that it names, and reads it to *out: one VM. On failure false with one
// line in error, and nothing to free.
bool definition_check(struct json_object *definition, struct config *out, char *error);

// The name of the VM, or NULL: it has none, or no good one.
const char *definition_name(struct json_object *definition);

// The definitions of the VMs of a configuration file, with absolute paths, after it was checked: an array. NULL with one line in error.
struct json_object *definition_load(const char *path, char *error);
