// SPDX-License-Identifier: MIT
#include "mezz/show.h"

#include <stdio.h>
#include <string.h>

#define MIB 1048576.0

static char *buffer(void)
{
	static char buffers[8][24];
	static unsigned next;

	return buffers[next++ % 8];
}

const char *show_state(const struct mezz_vm *vm)
{
	static const char *const states[] = {"running", "paused", "ending", "waiting"};

	return vm->state < sizeof(states) / sizeof(states[0]) ? states[vm->state] : "unknown";
}

const char *show_bytes(u64 bytes)
{
	char *b = buffer();

	if (bytes >= 10240 * MIB)
		snprintf(b, 24, "%.1f GiB", (double)bytes / MIB / 1024);
	else if (bytes >= 10 * MIB)
		snprintf(b, 24, "%.0f MiB", (double)bytes / MIB);
	else
		snprintf(b, 24, "%.0f KiB", (double)bytes / 1024);
	return b;
}

const char *show_time(u64 ns)
{
	unsigned long long s = ns / 1000000000;
	char *b = buffer();

	if (s < 100)
		snprintf(b, 24, "%.1f s", (double)ns / 1e9);
	else if (s < 3600)
		snprintf(b, 24, "%llu min %02llu s", s / 60, s % 60);
	else
		snprintf(b, 24, "%llu h %02llu min", s / 3600, s / 60 % 60);
	return b;
}

static void add(struct json_object *o, const char *key, u64 value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

struct json_object *show_vm_json(const struct mezz_vm *vm)
{
	struct json_object *o = json_object_new_object(), *exits = json_object_new_object();

	add(o, "id", vm->id);
	json_object_object_add(o, "name", json_object_new_string(vm->name));
	json_object_object_add(o, "state", json_object_new_string(show_state(vm)));
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

void show_json(struct json_object *o)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
}

bool show_option(const char *word, bool *json)
{
	*json = strcmp(word, "json") == 0;
	return *json || strcmp(word, "text") == 0;
}
