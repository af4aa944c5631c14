// SPDX-License-Identifier: MIT
// mezz vm: the VMs of this machine, in the root VM. mezzd is asked where it runs; else the kernel, which knows no VMs that are off.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/device.h"
#include "common/util.h"
#include "mezz/api.h"
#include "mezz/command.h"
#include "mezz/show.h"
#include "mezz/vm.h"

#define STOP_SECONDS 60
#define VERBS        "list, info, create, start, stop, pause, resume, restart, delete or console"

// ---- what is shown

static const char *text_of(struct json_object *vm, const char *key)
{
	const char *text = json_object_get_string(json_object_object_get(vm, key));

	return text ? text : "-";
}

static u64 number_of(struct json_object *vm, const char *key)
{
	return json_object_get_uint64(json_object_object_get(vm, key));
}

static bool is_off(struct json_object *vm)
{
	return !json_object_object_get(vm, "id");
}

static void print_row(struct json_object *vm)
{
	bool off = is_off(vm);

	printf("%-4s %-31s %-8s %5s %10s %10s %14s\n", text_of(vm, "id"), text_of(vm, "name"),
		text_of(vm, "state"), text_of(vm, "vcpus"),
		off ? "-" : show_bytes(number_of(vm, "memory_bytes")),
		off ? "-" : show_bytes(number_of(vm, "populated_bytes")),
		off ? "-" : show_time(number_of(vm, "processor_ns")));
}

static int list(const struct vm_options *o, bool api)
{
	struct json_object *all = api ? vm_api_list() : vm_device_list();

	if (!all)
		return STATUS_FAILED;
	if (o->json) {
		show_json(all);
		return STATUS_OK;
	}
	printf("%-4s %-31s %-8s %5s %10s %10s %14s\n", "ID", "NAME", "STATE", "VCPUS", "MEMORY",
		"TOUCHED", "PROCESSOR");
	for (size_t i = 0; i < json_object_array_length(all); i++)
		print_row(json_object_array_get_idx(all, i));
	json_object_put(all);
	return STATUS_OK;
}

static void print_running(struct json_object *vm)
{
	struct json_object *exits = json_object_object_get(vm, "exits");
	u64 all = 0;

	printf("id         %s\n", text_of(vm, "id"));
	printf("vcpus      %s, weight %s", text_of(vm, "vcpus"), text_of(vm, "weight"));
	if (number_of(vm, "cap_percent"))
		printf(", at most %s %% of a CPU", text_of(vm, "cap_percent"));
	printf("\nmemory     %s, of which %s touched; %s besides\n",
		show_bytes(number_of(vm, "memory_bytes")),
		show_bytes(number_of(vm, "populated_bytes")),
		show_bytes(number_of(vm, "overhead_bytes")));
	printf("processor  %s; waited %s\n", show_time(number_of(vm, "processor_ns")),
		show_time(number_of(vm, "steal_ns")));
	json_object_object_foreach(exits, name, count)
	{
		(void)name;
		all += json_object_get_uint64(count);
	}
	printf("exits      %llu\n", (unsigned long long)all);
	json_object_object_foreach(exits, cause, times)
	{
		printf("  %-15s %s\n", cause, json_object_get_string(times));
	}
}

static int info(const struct vm_options *o, const char *name, bool api)
{
	struct json_object *vm = api ? vm_api_info(name) : vm_device_info(name), *definition;

	if (!vm)
		return STATUS_FAILED;
	if (o->json) {
		show_json(vm);
		return STATUS_OK;
	}
	printf("name       %s%s\n", text_of(vm, "name"),
		json_object_get_boolean(json_object_object_get(vm, "root")) ? " (root VM)" : "");
	printf("state      %s\n", text_of(vm, "state"));
	if (!is_off(vm))
		print_running(vm);
	if (json_object_object_get_ex(vm, "definition", &definition))
		printf("definition %s\n",
			json_object_to_json_string_ext(definition,
				JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(vm);
	return STATUS_OK;
}

// ---- orders

// Each works with one name; without mezzd the second, if there is one.
static const struct verb {
	const char *name;
	int (*api)(const struct vm_options *o, const char *name);
	int (*device)(const struct vm_options *o, const char *name);
} verbs[] = {{"create", vm_api_create, NULL}, {"start", vm_api_start, NULL},
	{"stop", vm_api_stop, vm_device_stop}, {"pause", vm_api_pause, vm_device_pause},
	{"resume", vm_api_resume, vm_device_resume}, {"restart", vm_api_restart, NULL},
	{"delete", vm_api_delete, NULL}, {"console", vm_console, NULL}};

static int run(const struct verb *v, const struct vm_options *o, const char *name, bool api)
{
	return api || !v->device ? v->api(o, name) : v->device(o, name);
}

// The verb with each of the VMs; goes on after a failure. The status is the last one's that is not 0.
static int each(const struct vm_options *o, const char *word, char **names, int n, bool api)
{
	const struct verb *v = verbs, *end = verbs + sizeof(verbs) / sizeof(verbs[0]);
	bool is_info = strcmp(word, "info") == 0;
	int status = STATUS_OK;

	while (v < end && strcmp(v->name, word) != 0)
		v++;
	if (v == end && !is_info)
		return command_misused("vm", "%s: expected " VERBS, word);
	if (!n)
		return command_misused("vm", "%s: expected %s", word,
			strcmp(word, "create") == 0 ? "a configuration file" : "the name of a VM");
	if (!api && (is_info || v->device) && !device_open())
		return STATUS_FAILED;
	for (int i = 0; i < n; i++) {
		int s = is_info ? info(o, names[i], api) : run(v, o, names[i], api);

		status = s ? s : status;
	}
	return status;
}

static bool take_options(int argc, char **argv, struct vm_options *o)
{
	static const struct option names[] = {{"force", no_argument, NULL, 'f'},
		{"timeout", required_argument, NULL, 't'}, {"once", no_argument, NULL, '1'}, {0}};
	char *rest;
	int c;

	while ((c = getopt_long(argc, argv, "o:", names, NULL)) != -1) {
		if (c == 'o' && show_option(optarg, &o->json))
			continue;
		if (c == 'f' || c == '1') {
			*(c == 'f' ? &o->force : &o->once) = true;
			continue;
		}
		if (c == 't') {
			o->seconds = strtol(optarg, &rest, 10);
			if (rest != optarg && !*rest && o->seconds >= 0 && o->seconds <= 86400)
				continue;
			command_misused("vm", "--timeout: expected seconds, 0 to 86400");
			return false;
		}
		command_misused("vm", c == 'o' ? "-o: expected json or text" : "unknown option");
		return false;
	}
	return true;
}

int command_vm(int argc, char **argv)
{
	struct vm_options o = {.seconds = STOP_SECONDS};
	bool api;

	if (!take_options(argc, argv, &o))
		return STATUS_USAGE;
	if (optind == argc)
		return command_misused("vm", "expected " VERBS);
	api = api_there();
	if (strcmp(argv[optind], "list") != 0 || optind + 1 != argc)
		return each(&o, argv[optind], argv + optind + 1, argc - optind - 1, api);
	return api || device_open() ? list(&o, api) : STATUS_FAILED;
}
