// SPDX-License-Identifier: MIT
// What the parts of `mezz vm` share. vm_api.c asks mezzd; vm_device.c asks the kernel itself, where no mezzd runs.
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

struct vm_options {
	bool json, force, once;
	long seconds;
};

// All VMs, an array; or one. The caller frees it; NULL after a message.
struct json_object *vm_api_list(void);
struct json_object *vm_api_info(const char *name);
struct json_object *vm_device_list(void);
struct json_object *vm_device_info(const char *name);

// A verb with one VM, or a file: an exit status, after a message if it is not 0.
int vm_api_create(const struct vm_options *o, const char *file);
int vm_api_delete(const struct vm_options *o, const char *name);
int vm_api_start(const struct vm_options *o, const char *name);
int vm_api_restart(const struct vm_options *o, const char *name);
int vm_api_stop(const struct vm_options *o, const char *name);
int vm_api_pause(const struct vm_options *o, const char *name);
int vm_api_resume(const struct vm_options *o, const char *name);
int vm_device_stop(const struct vm_options *o, const char *name);
int vm_device_pause(const struct vm_options *o, const char *name);
int vm_device_resume(const struct vm_options *o, const char *name);

// The console: what it says, and what is typed goes to it until Ctrl-]. once: only what it has said.
int vm_console(const struct vm_options *o, const char *name);
