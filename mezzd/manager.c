// SPDX-License-Identifier: MIT
// What is asked and ordered; manager_look.c has what goes on by itself.
#include "mezzd/manager.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/device.h"
#include "common/util.h"
#include "common/vm_json.h"
#include "config/definition.h"

struct answer answer_error(unsigned status, const char *fmt, ...)
{
	struct json_object *o = json_object_new_object();
	char text[CONFIG_ERROR_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	for (char *p = text; *p; p++) // one line, whatever it quotes
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	json_object_object_add(o, "error", json_object_new_string(text));
	return (struct answer){status, o};
}

static struct answer kernel_error(void)
{
	return answer_error(500, "%s", complaint());
}

static struct answer nobody(const char *word)
{
	return answer_error(404, "no VM '%.40s' is defined or runs", word);
}

static struct answer not_running(const struct manager *m, const char *word)
{
	if (!definitions_find(&m->definitions, word))
		return answer_error(
			404, "no VM '%.40s' runs; `mezz vm list` shows those that do", word);
	return answer_error(409, "%s does not run", word);
}

// ---- what is there

// vm: NULL, it does not run; d: NULL, it is not defined.
static struct json_object *show(
	const struct manager *m, const struct mezz_vm *vm, const struct defined *d)
{
	struct json_object *o = vm ? vm_json(vm) : json_object_new_object();
	const struct task *t = tasks_of(&m->tasks, vm ? vm->name : d->name);

	if (!vm) {
		json_object_object_add(o, "name", json_object_new_string(d->name));
		json_object_object_add(o, "state", json_object_new_string("off"));
		json_object_object_add(o, "root", json_object_new_boolean(false));
	}
	json_object_object_add(o, "defined", json_object_new_boolean(d != NULL));
	json_object_object_add(o, "autostart", json_object_new_boolean(d && d->autostart));
	json_object_object_add(o, "order", json_object_new_int64(d ? d->order : 0));
	if (t)
		json_object_object_add(o, "task", json_object_new_uint64(t->id));
	return o;
}

static bool is_among(const struct mezz_vm *vms, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(vms[i].name, name) == 0)
			return true;
	return false;
}

struct answer manager_list(struct manager *m)
{
	struct json_object *o, *list;
	struct mezz_vm *vms;
	size_t count;

	vms = device_vms(&count);
	if (!vms)
		return kernel_error();
	o = json_object_new_object();
	list = json_object_new_array();
	for (size_t i = 0; i < count; i++)
		json_object_array_add(
			list, show(m, &vms[i], definitions_find(&m->definitions, vms[i].name)));
	for (struct defined *d = m->definitions.first; d; d = d->next)
		if (!is_among(vms, count, d->name))
			json_object_array_add(list, show(m, NULL, d));
	json_object_object_add(o, "vms", list);
	free(vms);
	return (struct answer){200, o};
}

int manager_running(const char *word, struct mezz_vm *vm)
{
	struct mezz_vm *vms;
	char number[12];
	size_t count, at;

	vms = device_vms(&count);
	if (!vms)
		return -1;
	for (at = 0; at < count && strcmp(vms[at].name, word) != 0;)
		at++;
	if (at == count) // no name: a number?
		for (at = 0; at < count; at++) {
			snprintf(number, sizeof(number), "%u", vms[at].id);
			if (strcmp(number, word) == 0)
				break;
		}
	if (at < count)
		*vm = vms[at];
	free(vms);
	return at < count;
}

struct answer manager_show(struct manager *m, const char *word)
{
	struct mezz_vm vm;
	int found = manager_running(word, &vm);
	struct defined *d = definitions_find(&m->definitions, found > 0 ? vm.name : word);
	struct json_object *o;

	if (found < 0)
		return kernel_error();
	if (!found && !d)
		return nobody(word);
	o = show(m, found ? &vm : NULL, d);
	if (d)
		json_object_object_add(o, "definition", json_object_get(d->json));
	return (struct answer){200, o};
}

struct answer manager_tasks(const struct manager *m)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();

	for (const struct task *t = m->tasks.first; t; t = t->next)
		json_object_array_add(list, task_json(t));
	json_object_object_add(o, "tasks", list);
	return (struct answer){200, o};
}

// ---- definitions

static struct answer refuse_definition(const char *name, int error)
{
	switch (error) {
	case -EEXIST:
		return answer_error(409, "%s is defined already", name);
	case -ENOSPC:
		return answer_error(507, "%s: no room for one more definition", name);
	case -EFBIG:
		return answer_error(
			413, "%s: a definition of more than %u bytes", name, DEFINITION_MAX);
	default:
		return answer_error(
			500, "%s: the definition cannot be kept: %s", name, strerror(-error));
	}
}

static struct answer define(struct manager *m, struct json_object *json)
{
	const char *name = definition_name(json);
	struct mezz_vm vm;
	int error, found;

	if (definitions_find(&m->definitions, name))
		return refuse_definition(name, -EEXIST);
	found = manager_running(name, &vm);
	if (found < 0)
		return kernel_error();
	if (found && strcmp(vm.name, name) == 0)
		return answer_error(
			409, "%s runs, of the boot bundle: expected another name", name);
	error = definitions_add(&m->definitions, json);
	if (error)
		return refuse_definition(name, error);
	events_add(&m->events, "vm.defined", name, NULL);
	return (struct answer){201, show(m, NULL, definitions_find(&m->definitions, name))};
}

struct answer manager_define(struct manager *m, const char *text, size_t size)
{
	char error[CONFIG_ERROR_MAX];
	struct json_object *json = definition_parse(text, size, error);
	struct config *config;
	struct answer a;

	if (!json)
		return answer_error(400, "%s", error);
	config = allocate(sizeof(*config));
	if (definition_check(json, config, error)) {
		config_free(config);
		a = define(m, json);
	} else {
		a = answer_error(400, "%s", error);
	}
	free(config);
	json_object_put(json);
	return a;
}

struct answer manager_delete(struct manager *m, const char *name)
{
	struct defined *d = definitions_find(&m->definitions, name);
	struct mezz_vm vm;
	int found = manager_running(name, &vm), error;

	if (found < 0)
		return kernel_error();
	if (!d && found)
		return answer_error(409, "%s is not defined here, but of the boot bundle", vm.name);
	if (!d)
		return nobody(name);
	if (found && strcmp(vm.name, name) == 0)
		return answer_error(409, "%s runs: expected to be stopped first", name);
	if (tasks_of(&m->tasks, name))
		return answer_error(409, "%s has a task that has not ended", name);
	error = definitions_remove(&m->definitions, d);
	if (error)
		return answer_error(
			500, "%s: the definition cannot be removed: %s", name, strerror(-error));
	events_add(&m->events, "vm.deleted", name, NULL);
	return (struct answer){204, NULL};
}

// ---- orders

static struct answer refuse_order(const struct mezz_vm *vm, int error)
{
	switch (error) {
	case -EPERM:
		return answer_error(403,
			"%s is the root VM: it is powered off by its own means, and the machine with it",
			vm->name);
	case -ENOENT:
		return answer_error(404, "%s has ended", vm->name);
	default:
		return answer_error(500, "%s: %s", vm->name, strerror(-error));
	}
}

struct answer manager_do(struct manager *m, const char *word, enum mezz_vm_op op)
{
	struct mezz_vm vm;
	int found = manager_running(word, &vm), error;

	if (found < 0)
		return kernel_error();
	if (!found)
		return not_running(m, word);
	error = device_vm_do(vm.id, op);
	if (error)
		return refuse_order(&vm, error);
	manager_hurry(m);
	return manager_show(m, vm.name);
}

static struct answer accept(struct manager *m, struct task *t)
{
	manager_hurry(m);
	return (struct answer){202, task_json(t)};
}

static struct answer busy(const char *name)
{
	return answer_error(409, "%s has a task that has not ended", name);
}

static struct answer too_many(void)
{
	return answer_error(503, "%u tasks run already", TASKS_RUNNING);
}

static struct answer order_start(struct manager *m, const char *name)
{
	struct mezz_vm vm;
	struct task *t;
	int found = manager_running(name, &vm);

	if (found < 0)
		return kernel_error();
	if (found && (strcmp(vm.name, name) == 0 || !definitions_find(&m->definitions, name)))
		return answer_error(409, "%s runs already", vm.name);
	if (!definitions_find(&m->definitions, name))
		return answer_error(404, "no VM '%.40s' is defined", name);
	if (tasks_of(&m->tasks, name))
		return busy(name);
	t = tasks_add(&m->tasks, name, TASK_START, TASK_QUEUED);
	return t ? accept(m, t) : too_many();
}

// A stop overtakes what asks the guest, not what makes the VM.
static bool overtakes(enum task_action action, const struct task *t)
{
	return action == TASK_STOP && t->state == TASK_ENDING;
}

static struct answer order_end(struct manager *m, const struct mezz_vm *vm, enum task_action action,
	bool force, int64_t timeout)
{
	struct task *old = tasks_of(&m->tasks, vm->name), *t;
	int error;

	if (vm->is_root)
		return refuse_order(vm, -EPERM);
	if (action == TASK_RESTART && !definitions_find(&m->definitions, vm->name))
		return answer_error(
			409, "%s is not defined, so it could not be started again", vm->name);
	if (old && !overtakes(action, old))
		return busy(vm->name);
	if (!old && m->tasks.running == TASKS_RUNNING)
		return too_many();
	error = device_vm_do(vm->id, force ? MEZZ_VM_STOP : MEZZ_VM_SHUTDOWN);
	if (error)
		return refuse_order(vm, error);
	if (old)
		task_end(&m->tasks, old, "a stop overtook it");
	t = tasks_add(&m->tasks, vm->name, action, TASK_ENDING);
	t->vm_id = vm->id;
	t->force = force;
	t->timeout = timeout;
	t->deadline = clock_ms() + timeout;
	t->press = clock_ms() + MANAGER_PRESS_MS;
	return accept(m, t);
}

struct answer manager_order(
	struct manager *m, const char *word, enum task_action action, bool force, unsigned seconds)
{
	struct mezz_vm vm;
	int found;

	if (action == TASK_START)
		return order_start(m, word);
	found = manager_running(word, &vm);
	if (found < 0)
		return kernel_error();
	if (!found)
		return not_running(m, word);
	return order_end(m, &vm, action, force || action == TASK_STOP, seconds * 1000ll);
}
