// SPDX-License-Identifier: MIT
// mezz vm, by the kernel itself.
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/device.h"
#include "common/util.h"
#include "common/vm_json.h"
#include "mezz/vm.h"

#define PRESS_MS 1000 // between two presses of the power button

struct json_object *vm_device_list(void)
{
	struct json_object *all;
	struct mezz_vm *vms;
	size_t count;

	vms = device_vms(&count);
	if (!vms)
		return NULL;
	all = json_object_new_array();
	for (size_t i = 0; i < count; i++)
		json_object_array_add(all, vm_json(&vms[i]));
	free(vms);
	return all;
}

struct json_object *vm_device_info(const char *name)
{
	struct mezz_vm vm;

	return device_find(name, &vm) ? vm_json(&vm) : NULL;
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
static int stop(const struct vm_options *o, const struct mezz_vm *vm)
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

int vm_device_stop(const struct vm_options *o, const char *name)
{
	struct mezz_vm vm;

	return device_find(name, &vm) ? stop(o, &vm) : STATUS_FAILED;
}

static int do_it(const char *name, enum mezz_vm_op op)
{
	struct mezz_vm vm;

	return device_find(name, &vm) ? told(&vm, device_vm_do(vm.id, op)) : STATUS_FAILED;
}

int vm_device_pause(const struct vm_options *o, const char *name)
{
	(void)o;
	return do_it(name, MEZZ_VM_PAUSE);
}

int vm_device_resume(const struct vm_options *o, const char *name)
{
	(void)o;
	return do_it(name, MEZZ_VM_RESUME);
}
