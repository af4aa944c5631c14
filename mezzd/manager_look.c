// SPDX-License-Identifier: MIT
// What goes on by itself: tasks, events about VMs that come, change and go, and VMs that start with the machine.
#include "mezzd/manager.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/device.h"
#include "common/util.h"
#include "common/vm_json.h"
#include "mezzd/state.h"

#define holder(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

// ---- events

static const struct seen *seen_before(const struct manager *m, const char *name, uint32_t id)
{
	for (size_t i = 0; i < m->seen_count; i++)
		if (m->seen[i].id == id && strcmp(m->seen[i].name, name) == 0)
			return &m->seen[i];
	return NULL;
}

static const struct mezz_vm *find(
	const struct mezz_vm *vms, size_t count, const char *name, uint32_t id)
{
	for (size_t i = 0; i < count; i++)
		if (vms[i].id == id && strcmp(vms[i].name, name) == 0)
			return &vms[i];
	return NULL;
}

static void tell_change(struct manager *m, const struct mezz_vm *vm)
{
	const struct seen *before = seen_before(m, vm->name, vm->id);
	bool was_paused = before && before->state == MEZZ_VM_PAUSED;

	if (before && before->state == vm->state)
		return;
	if (vm->state == MEZZ_VM_PAUSED)
		events_add(&m->events, "vm.paused", vm->name, NULL);
	else if (vm->state == MEZZ_VM_RUNNING)
		events_add(&m->events, was_paused ? "vm.resumed" : "vm.started", vm->name, NULL);
}

static void keep_seen(struct manager *m, const struct mezz_vm *vms, size_t count)
{
	m->seen = reallocate(m->seen, count * sizeof(*m->seen));
	m->seen_count = count;
	for (size_t i = 0; i < count; i++) {
		m->seen[i] = (struct seen){.id = vms[i].id, .state = vms[i].state};
		memcpy(m->seen[i].name, vms[i].name, sizeof(m->seen[i].name));
	}
	m->looked = true;
}

static void tell_changes(struct manager *m, const struct mezz_vm *vms, size_t count)
{
	if (m->looked) {
		for (size_t i = 0; i < m->seen_count; i++)
			if (!find(vms, count, m->seen[i].name, m->seen[i].id))
				events_add(&m->events, "vm.ended", m->seen[i].name, NULL);
		for (size_t i = 0; i < count; i++)
			tell_change(m, &vms[i]);
	}
	keep_seen(m, vms, count);
}

static void task_ended(void *owner, const struct task *t)
{
	struct manager *m = owner;
	struct json_object *more = json_object_new_object();

	json_object_object_add(more, "task", json_object_new_uint64(t->id));
	json_object_object_add(more, "action", json_object_new_string(task_action_name(t->action)));
	json_object_object_add(
		more, "state", json_object_new_string(t->state == TASK_DONE ? "done" : "failed"));
	if (*t->error)
		json_object_object_add(more, "error", json_object_new_string(t->error));
	if (*t->error)
		complain("%s: %s failed: %s", t->vm, task_action_name(t->action), t->error);
	events_add(&m->events, "task.ended", t->vm, more);
}

// ---- tasks

// A VM without disks, cards and firmware has no back-end that would start it; mezzd itself may have been killed before it did. What others make is
// theirs to start.
static void start_bare(struct manager *m, const struct mezz_vm *vms, size_t count)
{
	char line[4096];

	for (size_t i = 0; i < count; i++)
		if (vms[i].state == MEZZ_VM_WAITING && !vms[i].firmware &&
			definitions_find(&m->definitions, vms[i].name) &&
			device_vm_line(vms[i].id, 0, line, sizeof(line)) < 0)
			device_vm_do(vms[i].id, MEZZ_VM_START);
}

static void created(struct creator *c, const struct creator_result *r)
{
	struct manager *m = holder(c, struct manager, creator);
	struct task *t = m->creating;

	m->creating = NULL;
	if (r->id < 0) {
		task_end(&m->tasks, t, r->message);
	} else {
		t->state = TASK_STARTING;
		t->vm_id = (uint32_t)r->id;
		t->deadline = clock_ms() + MANAGER_START_MS;
		if (m->created)
			m->created(m->owner);
	}
	manager_hurry(m);
}

static void begin_creating(struct manager *m, struct task *t)
{
	struct defined *d = definitions_find(&m->definitions, t->vm);

	if (!d) {
		task_end(&m->tasks, t, "it is not defined any more");
		return;
	}
	m->creator.done = created;
	if (!creator_start(&m->creator, m->loop, d->json)) {
		task_end(&m->tasks, t, complaint());
		return;
	}
	m->creating = t;
	t->state = TASK_CREATING;
}

static void see_started(struct manager *m, struct task *t, const struct mezz_vm *vm)
{
	char error[96];

	if (!vm) {
		task_end(&m->tasks, t, "the VM ended before it ran");
	} else if (vm->state != MEZZ_VM_WAITING) {
		task_end(&m->tasks, t, NULL);
	} else if (clock_ms() > t->deadline) {
		snprintf(error, sizeof(error), "the VM waits for its back-end since %d s",
			MANAGER_START_MS / 1000);
		task_end(&m->tasks, t, error);
	}
}

// Presses the button until the VM has gone: a guest that does not listen yet does not remember.
static void see_ended(struct manager *m, struct task *t, const struct mezz_vm *vm)
{
	char error[96];

	if (!vm && t->action == TASK_RESTART) {
		t->state = TASK_QUEUED;
	} else if (!vm) {
		task_end(&m->tasks, t, NULL);
	} else if (clock_ms() > t->deadline) {
		snprintf(error, sizeof(error), "%s still runs after %lld s", t->vm,
			(long long)t->timeout / 1000);
		task_end(&m->tasks, t, error);
	} else if (!t->force && clock_ms() >= t->press) {
		t->press = clock_ms() + MANAGER_PRESS_MS;
		device_vm_do(t->vm_id, MEZZ_VM_SHUTDOWN);
	}
}

static void step(struct manager *m, struct task *t, const struct mezz_vm *vms, size_t count)
{
	const struct mezz_vm *vm = find(vms, count, t->vm, t->vm_id);

	if (t->state == TASK_ENDING)
		see_ended(m, t, vm);
	if (t->state == TASK_STARTING)
		see_started(m, t, vm);
	if (t->state == TASK_QUEUED && !m->creating)
		begin_creating(m, t);
}

// Ends forget old tasks, so each step begins at the front: the next one behind `id`.
static struct task *next_running(const struct manager *m, uint64_t id)
{
	struct task *t = m->tasks.first;

	while (t && !(t->id > id && task_runs(t)))
		t = t->next;
	return t;
}

static void look(struct manager *m)
{
	struct mezz_vm *vms;
	struct task *t;
	uint64_t id = 0;
	size_t count;

	vms = device_vms(&count);
	if (!vms)
		return;
	start_bare(m, vms, count);
	tell_changes(m, vms, count);
	while ((t = next_running(m, id))) {
		id = t->id;
		step(m, t, vms, count);
	}
	free(vms);
}

static void note_autostart(struct manager *m)
{
	if (!m->autostart_done || m->tasks.running)
		return;
	state_write(m->autostart_done, "");
	free(m->autostart_done);
	m->autostart_done = NULL;
}

static void look_again(struct loop_timer *timer)
{
	struct manager *m = holder(timer, struct manager, look);

	look(m);
	note_autostart(m);
	loop_set(m->loop, timer,
		clock_ms() + (m->tasks.running ? MANAGER_BUSY_MS : MANAGER_LOOK_MS));
}

void manager_hurry(struct manager *m)
{
	loop_set(m->loop, &m->look, clock_ms());
}

// ---- begin and end

// The next one to start by itself behind `last` (NULL: the first), by order and name.
static struct defined *next_autostart(const struct manager *m, const struct defined *last)
{
	struct defined *best = NULL;
	bool behind = !last;

	for (struct defined *d = m->definitions.first; d; d = d->next) {
		bool later = !last || d->order > last->order || (d->order == last->order && behind);

		if (d->autostart && later && (!best || d->order < best->order))
			best = d;
		behind |= d == last;
	}
	return best;
}

// More than can be queued are started one by one at the next starts of mezzd: it has not been done then.
static void autostart(struct manager *m)
{
	struct mezz_vm vm;

	for (struct defined *d = next_autostart(m, NULL); d; d = next_autostart(m, d)) {
		if (manager_running(d->name, &vm) == 1 && strcmp(vm.name, d->name) == 0)
			continue;
		complain("%s starts by itself", d->name);
		if (!tasks_add(&m->tasks, d->name, TASK_START, TASK_QUEUED))
			complain("%s: more than %u VMs to start", d->name, TASKS_RUNNING);
	}
}

bool manager_open(struct manager *m, struct loop *l, const char *folder, const char *store)
{
	char path[STATE_PATH];

	*m = (struct manager){.loop = l, .look.due = look_again};
	if (!definitions_open(&m->definitions, store))
		return false;
	events_open(&m->events);
	m->tasks.ended = task_ended;
	m->tasks.owner = m;
	state_path(path, folder, "autostart", "done");
	if (access(path, F_OK) != 0) {
		m->autostart_done = copy_text(path, strlen(path));
		autostart(m);
	}
	manager_hurry(m);
	return true;
}

void manager_close(struct manager *m)
{
	loop_clear(m->loop, &m->look);
	creator_stop(&m->creator);
	tasks_close(&m->tasks);
	events_close(&m->events);
	definitions_close(&m->definitions);
	free(m->autostart_done);
	free(m->seen);
}
