// SPDX-License-Identifier: MIT
// mezz vm: the VMs of this machine, in the root VM.
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mezz/command.h"
#include "common/device.h"
#include "mezz/show.h"
#include "common/util.h"

#define STOP_SECONDS 60
#define PRESS_MS     1000 // between two presses of the power button

struct options {
	bool json, force;
	long seconds;
};

static int list(const struct options *o)
{
	struct json_object *all = json_object_new_array();
	size_t count;
	struct mezz_vm *vms = device_vms(&count);

	if (!vms) {
		json_object_put(all);
		return STATUS_FAILED;
	}
	if (!o->json)
		printf("%-4s %-31s %-8s %5s %10s %10s %14s\n", "ID", "NAME", "STATE", "VCPUS",
			"MEMORY", "TOUCHED", "PROCESSOR");
	for (size_t i = 0; i < count; i++) {
		if (o->json)
			json_object_array_add(all, show_vm_json(&vms[i]));
		else
			printf("%-4u %-31s %-8s %5u %10s %10s %14s\n", vms[i].id, vms[i].name,
				show_state(&vms[i]), vms[i].vcpus, show_bytes(vms[i].memory),
				show_bytes(vms[i].populated), show_time(vms[i].processor_time));
	}
	if (o->json)
		show_json(all);
	else
		json_object_put(all);
	free(vms);
	return STATUS_OK;
}

static int info(const struct options *o, const struct mezz_vm *vm)
{
	if (o->json) {
		show_json(show_vm_json(vm));
		return STATUS_OK;
	}
	printf("name       %s%s\n", vm->name, vm->is_root ? " (root VM)" : "");
	printf("id         %u\n", vm->id);
	printf("state      %s\n", show_state(vm));
	printf("vcpus      %u, weight %u", vm->vcpus, vm->weight);
	if (vm->cap)
		printf(", at most %u %% of a CPU", vm->cap);
	printf("\nmemory     %s, of which %s touched; %s besides\n", show_bytes(vm->memory),
		show_bytes(vm->populated), show_bytes(vm->overhead));
	printf("processor  %s; waited %s\n", show_time(vm->processor_time),
		show_time(vm->steal_time));
	printf("exits      %llu\n", (unsigned long long)vm->exits);
	for (u32 i = 0; i < vm->causes; i++)
		if (vm->cause[i].count)
			printf("  %-15s %llu\n", vm->cause[i].name,
				(unsigned long long)vm->cause[i].count);
	return STATUS_OK;
}

// What the kernel said to an order, told if it was no.
static int told(const struct mezz_vm *vm, int result)
{
	switch (result) {
	case 0:
		return STATUS_OK;
	case -EPERM:
		complain(
			"%s is the root VM: it is powered off by its own means, and the machine with it",
			vm->name);
		return STATUS_FAILED;
	case -ENOENT:
		complain("%s has ended", vm->name);
		return STATUS_FAILED;
	default:
		complain("%s: %s", vm->name, strerror(-result));
		return STATUS_FAILED;
	}
}

// False: it is there no more (or another has its number).
static bool is_there(const struct mezz_vm *vm)
{
	struct mezz_vm now;
	bool found;

	return device_vm(vm->id, &now, &found) && found && now.id == vm->id &&
	       strcmp(now.name, vm->name) == 0;
}

// Presses the button until the VM has gone: a guest that does not listen yet does not remember.
static int stop(const struct options *o, const struct mezz_vm *vm)
{
	int64_t end = clock_ms() + o->seconds * 1000;
	int status = told(vm, device_vm_do(vm->id, o->force ? MEZZ_VM_STOP : MEZZ_VM_SHUTDOWN));

	while (status == STATUS_OK && is_there(vm)) {
		if (clock_ms() > end) {
			complain("%s still runs after %ld s; --force stops it at once", vm->name,
				o->seconds);
			return STATUS_FAILED;
		}
		poll(NULL, 0, PRESS_MS);
		if (!o->force)
			device_vm_do(vm->id, MEZZ_VM_SHUTDOWN);
	}
	return status;
}

static int pause_it(const struct options *o, const struct mezz_vm *vm)
{
	(void)o;
	return told(vm, device_vm_do(vm->id, MEZZ_VM_PAUSE));
}

static int resume(const struct options *o, const struct mezz_vm *vm)
{
	(void)o;
	return told(vm, device_vm_do(vm->id, MEZZ_VM_RESUME));
}

static const struct {
	const char *name;
	int (*run)(const struct options *o, const struct mezz_vm *vm);
} verbs[] = {{"info", info}, {"stop", stop}, {"pause", pause_it}, {"resume", resume}};

// The verb with each of the VMs; goes on after a failure. The status is the last one's that is not 0.
static int each(const struct options *o, const char *verb, char **words, int n)
{
	int status = STATUS_OK;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].name, verb) != 0)
			continue;
		if (!n)
			return command_misused("vm", "%s: expected the name of a VM", verb);
		for (int k = 0; k < n; k++) {
			struct mezz_vm vm;
			int s = device_find(words[k], &vm) ? verbs[i].run(o, &vm) : STATUS_FAILED;

			status = s ? s : status;
		}
		return status;
	}
	return command_misused("vm", "%s: expected list, info, stop, pause or resume", verb);
}

static bool take_options(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
		{"force", no_argument, NULL, 'f'}, {"timeout", required_argument, NULL, 't'}, {0}};
	char *rest;
	int c;

	while ((c = getopt_long(argc, argv, "o:", names, NULL)) != -1) {
		if (c == 'o' && show_option(optarg, &o->json))
			continue;
		if (c == 'f') {
			o->force = true;
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
	struct options o = {.seconds = STOP_SECONDS};

	if (!take_options(argc, argv, &o))
		return STATUS_USAGE;
	if (optind == argc)
		return command_misused("vm", "expected list, info, stop, pause or resume");
	if (!device_open())
		return STATUS_FAILED;
	if (strcmp(argv[optind], "list") == 0 && optind + 1 == argc)
		return list(&o);
	return each(&o, argv[optind], argv + optind + 1, argc - optind - 1);
}
