// SPDX-License-Identifier: MIT
#include "common/vm_json.h"

#include <string.h>

const char *vm_state_name(const struct mezz_vm *vm)
{
	static const char *const states[] = {"running", "paused", "ending", "waiting"};

	return vm->state < sizeof(states) / sizeof(states[0]) ? states[vm->state] : "unknown";
}

static void add(struct json_object *o, const char *key, u64 value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

static void add_text(struct json_object *o, const char *key, const char *text, size_t max)
{
	json_object_object_add(o, key, json_object_new_string_len(text, (int)strnlen(text, max)));
}

struct json_object *vm_json(const struct mezz_vm *vm)
{
	struct json_object *o = json_object_new_object(), *exits = json_object_new_object();

	add(o, "id", vm->id);
	add_text(o, "name", vm->name, sizeof(vm->name));
	add_text(o, "state", vm_state_name(vm), sizeof(vm->name));
	json_object_object_add(o, "root", json_object_new_boolean(vm->is_root));
	json_object_object_add(o, "backend", json_object_new_boolean(vm->has_backend));
	add(o, "vcpus", vm->vcpus);
	add(o, "weight", vm->weight);
	add(o, "cap_percent", vm->cap);
	add(o, "memory_bytes", vm->memory);
	add(o, "populated_bytes", vm->populated);
	add(o, "overhead_bytes", vm->overhead);
	add(o, "processor_ns", vm->processor_time);
	add(o, "steal_ns", vm->steal_time);
	for (u32 i = 0; i < vm->causes; i++)
		if (vm->cause[i].count)
			json_object_object_add(exits, vm->cause[i].name,
				json_object_new_uint64(vm->cause[i].count));
	json_object_object_add(o, "exits", exits);
	return o;
}

struct json_object *host_json(const struct mezz_host *h)
{
	struct json_object *o = json_object_new_object();

	add_text(o, "model", h->model, sizeof(h->model));
	add(o, "cpus", h->cpus);
	add(o, "vm_cpus", h->vm_cpus);
	add(o, "vms", h->vms);
	add(o, "memory_bytes", h->memory);
	add(o, "free_bytes", h->free_memory);
	add(o, "kernel_bytes", h->kernel_memory);
	add(o, "uptime_ns", h->uptime);
	add(o, "idle_ns", h->idle);
	return o;
}
