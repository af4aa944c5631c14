// SPDX-License-Identifier: MIT
#include "mezzd/api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/device.h"
#include "common/util.h"
#include "common/vm_json.h"
#include "common/words.h"

#define PART_MAX      64 // bytes of a part of a path
#define SECONDS_MAX   86400
#define SECONDS       60
#define TYPED_AT_ONCE 1024

// What a handler gets: the path's parts behind its pattern's.
struct ask {
	struct manager *m;
	const struct api_request *q;
	struct api_reply *r;
	char part[2][PART_MAX];
};

// ---- parameters

// False after an answer of 400.
static bool take_number(struct ask *a, const char *name, uint64_t max, uint64_t *out)
{
	const char *text = a->q->parameter(a->q->owner, name);

	if (!text || parse_number(text, 0, max, out))
		return true;
	a->r->answer = answer_error(400, "%s: '%.40s', expected a number from 0 to %llu", name,
		text, (unsigned long long)max);
	return false;
}

static bool take_bool(struct ask *a, const char *name, bool *out)
{
	const char *text = a->q->parameter(a->q->owner, name);

	if (!text)
		return true;
	*out = strcmp(text, "true") == 0;
	if (*out || strcmp(text, "false") == 0)
		return true;
	a->r->answer = answer_error(400, "%s: '%.40s', expected true or false", name, text);
	return false;
}

// ---- resources

static void get_host(struct ask *a)
{
	struct mezz_host h;

	if (device_host(&h))
		a->r->answer = (struct answer){200, host_json(&h)};
	else
		a->r->answer = answer_error(500, "%s", complaint());
}

static void get_vms(struct ask *a)
{
	a->r->answer = manager_list(a->m);
}

static void post_vms(struct ask *a)
{
	a->r->answer = manager_define(a->m, a->q->body, a->q->size);
}

static void get_vm(struct ask *a)
{
	a->r->answer = manager_show(a->m, a->part[0]);
}

static void delete_vm(struct ask *a)
{
	a->r->answer = manager_delete(a->m, a->part[0]);
}

static void order(struct ask *a, enum task_action action)
{
	uint64_t seconds = SECONDS;
	bool force = false;

	if (take_number(a, "timeout", SECONDS_MAX, &seconds) && take_bool(a, "force", &force))
		a->r->answer = manager_order(a->m, a->part[0], action, force, (unsigned)seconds);
}

static void start(struct ask *a)
{
	order(a, TASK_START);
}

static void stop(struct ask *a)
{
	order(a, TASK_STOP);
}

static void shut_down(struct ask *a)
{
	order(a, TASK_SHUTDOWN);
}

static void restart(struct ask *a)
{
	order(a, TASK_RESTART);
}

static void pause_vm(struct ask *a)
{
	a->r->answer = manager_do(a->m, a->part[0], MEZZ_VM_PAUSE);
}

static void resume(struct ask *a)
{
	a->r->answer = manager_do(a->m, a->part[0], MEZZ_VM_RESUME);
}

static void get_tasks(struct ask *a)
{
	a->r->answer = manager_tasks(a->m);
}

static void get_task(struct ask *a)
{
	const struct task *t = NULL;
	uint64_t id;

	if (parse_number(a->part[0], 1, UINT64_MAX >> 1, &id))
		t = tasks_find(&a->m->tasks, id);
	a->r->answer = t ? (struct answer){200, task_json(t)}
			 : answer_error(404, "no task '%s' is known", a->part[0]);
}

static void get_events(struct ask *a)
{
	uint64_t since = 0;

	a->r->follow = true;
	if (take_number(a, "since", UINT64_MAX >> 1, &since) &&
		take_bool(a, "follow", &a->r->follow)) {
		a->r->stream = API_EVENTS;
		a->r->position =
			a->q->parameter(a->q->owner, "since") ? since + 1 : a->m->events.next;
	}
}

// False after an answer.
static bool take_console(struct ask *a, struct mezz_vm *vm)
{
	int found = manager_running(a->part[0], vm);

	if (found < 0)
		a->r->answer = answer_error(500, "%s", complaint());
	else if (!found && definitions_find(&a->m->definitions, a->part[0]))
		a->r->answer = answer_error(409, "%s does not run", a->part[0]);
	else if (!found)
		a->r->answer = answer_error(404, "no VM '%s' is defined or runs", a->part[0]);
	else if (vm->is_root)
		a->r->answer = answer_error(
			403, "%s is the root VM: its console is the machine's", vm->name);
	else
		return true;
	return false;
}

static void get_console(struct ask *a)
{
	struct mezz_vm vm;

	a->r->follow = true;
	if (!take_console(a, &vm) ||
		!take_number(a, "position", UINT64_MAX >> 1, &a->r->position) ||
		!take_bool(a, "follow", &a->r->follow))
		return;
	a->r->stream = API_CONSOLE;
	a->r->vm = vm.id;
}

static void post_console(struct ask *a)
{
	struct json_object *o;
	struct mezz_vm vm;
	size_t taken = 0;
	int n = 1;

	if (!take_console(a, &vm))
		return;
	while (taken < a->q->size && n > 0) {
		size_t left = a->q->size - taken;

		n = device_console_write(
			vm.id, a->q->body + taken, left < TYPED_AT_ONCE ? left : TYPED_AT_ONCE);
		if (n > 0)
			taken += (size_t)n;
	}
	if (n < 0 && !taken) {
		a->r->answer = n == -ENOENT ? answer_error(404, "%s has ended", vm.name)
					    : answer_error(500, "%s: %s", vm.name, strerror(-n));
		return;
	}
	o = json_object_new_object();
	json_object_object_add(o, "taken", json_object_new_uint64(taken));
	a->r->answer = (struct answer){200, o};
}

// A * in a pattern is any one part.
static const struct resource {
	const char *method, *pattern;
	void (*answer)(struct ask *a);
} resources[] = {{"GET", "/v1/host", get_host}, {"GET", "/v1/vms", get_vms},
	{"POST", "/v1/vms", post_vms}, {"GET", "/v1/vms/*", get_vm},
	{"DELETE", "/v1/vms/*", delete_vm}, {"POST", "/v1/vms/*/start", start},
	{"POST", "/v1/vms/*/stop", stop}, {"POST", "/v1/vms/*/shutdown", shut_down},
	{"POST", "/v1/vms/*/restart", restart}, {"POST", "/v1/vms/*/pause", pause_vm},
	{"POST", "/v1/vms/*/resume", resume}, {"GET", "/v1/vms/*/console", get_console},
	{"POST", "/v1/vms/*/console", post_console}, {"GET", "/v1/tasks", get_tasks},
	{"GET", "/v1/tasks/*", get_task}, {"GET", "/v1/events", get_events}};
#define RESOURCES (sizeof(resources) / sizeof(resources[0]))

static bool matches(const char *pattern, const char *path, struct ask *a)
{
	unsigned parts = 0;

	for (; *pattern; pattern++) {
		size_t length;

		if (*pattern != '*') {
			if (*path++ != *pattern)
				return false;
			continue;
		}
		length = strcspn(path, "/");
		if (!length || length >= PART_MAX)
			return false;
		snprintf(a->part[parts++], PART_MAX, "%.*s", (int)length, path);
		path += length;
	}
	return !*path;
}

// HEAD is GET without what it gets.
static bool is_method(const char *own, const char *method)
{
	return strcmp(own, method) == 0 || (strcmp(own, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

static const char *allowed(const char *path, struct ask *a)
{
	bool get = false, post = false, delete = false;

	for (size_t i = 0; i < RESOURCES; i++) {
		if (!matches(resources[i].pattern, path, a))
			continue;
		get |= resources[i].method[0] == 'G';
		post |= resources[i].method[0] == 'P';
		delete |= resources[i].method[0] == 'D';
	}
	if (delete)
		return "GET, HEAD, DELETE";
	return get && post ? "GET, HEAD, POST" : get ? "GET, HEAD" : post ? "POST" : NULL;
}

void api_answer(struct manager *m, const struct api_request *q, struct api_reply *r)
{
	struct ask a = {.m = m, .q = q, .r = r};

	*r = (struct api_reply){0};
	for (size_t i = 0; i < RESOURCES; i++) {
		if (!is_method(resources[i].method, q->method) ||
			!matches(resources[i].pattern, q->path, &a))
			continue;
		resources[i].answer(&a);
		return;
	}
	r->allow = allowed(q->path, &a);
	r->answer = r->allow ? answer_error(405, "%.20s: expected %s", q->method, r->allow)
			     : answer_error(404, "%.80s: no such resource", q->path);
}
