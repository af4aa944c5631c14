// SPDX-License-Identifier: MIT
#include "mezzd/tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"

bool task_runs(const struct task *t)
{
	return t->state != TASK_DONE && t->state != TASK_FAILED;
}

struct task *tasks_add(
	struct tasks *s, const char *vm, enum task_action action, enum task_state state)
{
	struct task *t, **at = &s->first;

	if (s->running == TASKS_RUNNING)
		return NULL;
	t = allocate(sizeof(*t));
	t->id = ++s->last;
	snprintf(t->vm, sizeof(t->vm), "%s", vm);
	t->action = action;
	t->state = state;
	events_time(t->began);
	while (*at)
		at = &(*at)->next;
	*at = t;
	s->running++;
	return t;
}

struct task *tasks_find(const struct tasks *s, uint64_t id)
{
	struct task *t = s->first;

	while (t && t->id != id)
		t = t->next;
	return t;
}

struct task *tasks_of(const struct tasks *s, const char *vm)
{
	struct task *t = s->first;

	while (t && !(task_runs(t) && strcmp(t->vm, vm) == 0))
		t = t->next;
	return t;
}

// The oldest that has ended, unless it is this one.
static void forget_one(struct tasks *s, const struct task *but)
{
	struct task **at = &s->first, *t;

	while (*at && (task_runs(*at) || *at == but))
		at = &(*at)->next;
	t = *at;
	if (!t)
		return;
	*at = t->next;
	free(t);
	s->kept--;
}

void task_end(struct tasks *s, struct task *t, const char *error)
{
	t->state = error ? TASK_FAILED : TASK_DONE;
	snprintf(t->error, sizeof(t->error), "%s", error ? error : "");
	for (char *p = t->error; *p; p++) // one line, whatever it quotes
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	events_time(t->ended);
	s->running--;
	if (++s->kept > TASKS_KEPT)
		forget_one(s, t);
	if (s->ended)
		s->ended(s->owner, t);
}

const char *task_action_name(enum task_action action)
{
	static const char *const names[] = {"start", "stop", "shutdown", "restart"};

	return names[action];
}

// Of a restart, the half of it that is its start comes second.
static int progress(const struct task *t)
{
	static const int start[] = {[TASK_QUEUED] = 0,
		[TASK_CREATING] = 10,
		[TASK_STARTING] = 80,
		[TASK_ENDING] = 0,
		[TASK_DONE] = 100,
		[TASK_FAILED] = 100};

	if (t->action == TASK_RESTART && task_runs(t) && t->state != TASK_ENDING)
		return 50 + start[t->state] / 2;
	return start[t->state];
}

static void add(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, json_object_new_string(text));
}

struct json_object *task_json(const struct task *t)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "id", json_object_new_uint64(t->id));
	add(o, "vm", t->vm);
	add(o, "action", task_action_name(t->action));
	add(o, "state", task_runs(t) ? "running" : t->state == TASK_DONE ? "done" : "failed");
	json_object_object_add(o, "progress", json_object_new_int(progress(t)));
	add(o, "began", t->began);
	if (*t->ended)
		add(o, "ended", t->ended);
	if (*t->error)
		add(o, "error", t->error);
	return o;
}

void tasks_close(struct tasks *s)
{
	while (s->first) {
		struct task *t = s->first;

		s->first = t->next;
		free(t);
	}
	*s = (struct tasks){0};
}
