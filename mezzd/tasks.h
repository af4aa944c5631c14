// SPDX-License-Identifier: MIT
// Tasks: what was ordered and takes its time. Each goes through these states, and is kept for those who ask until TASKS_KEPT younger
// ones have ended.
//
//	queued   -> creating           start: it is its turn, one at a time
//	creating -> starting           the kernel has made the VM
//	starting -> done               the VM runs
//	ending   -> done | queued      stop, shutdown: the VM has gone; restart: it begins to start
//	any      -> failed             with an error
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/hypercall.h"
#include "mezzd/events.h"

#define TASKS_KEPT    256u         // that have ended
#define TASKS_RUNNING MEZZ_MAX_VMS // at once
#define TASK_ERROR    600u

enum task_state { TASK_QUEUED, TASK_CREATING, TASK_STARTING, TASK_ENDING, TASK_DONE, TASK_FAILED };

enum task_action { TASK_START, TASK_STOP, TASK_SHUTDOWN, TASK_RESTART };

struct task {
	struct task *next; // older ones first
	uint64_t id;
	char vm[MEZZ_NAME_SIZE];
	enum task_action action;
	enum task_state state;
	uint32_t vm_id;   // starting, ending: whom it is about
	bool force;       // ending: at once, not by the power button
	int64_t timeout;  // ms, of ending
	int64_t deadline; // starting, ending: when it gives up, of clock_ms
	int64_t press;    // ending: when the button is pressed again
	char began[TIME_SIZE], ended[TIME_SIZE];
	char error[TASK_ERROR]; // failed: one line
};

struct tasks {
	struct task *first;
	uint64_t last; // number of the youngest
	size_t running, kept;
	void (*ended)(void *owner, const struct task *t); // called for each
	void *owner;
};

// A new one; NULL: TASKS_RUNNING do.
struct task *tasks_add(
	struct tasks *s, const char *vm, enum task_action action, enum task_state state);
struct task *tasks_find(const struct tasks *s, uint64_t id);
bool task_runs(const struct task *t);

// The VM's task that has not ended, or NULL.
struct task *tasks_of(const struct tasks *s, const char *vm);

// It has ended; error is NULL if it is done. May free older ones, not this one.
void task_end(struct tasks *s, struct task *t, const char *error);

const char *task_action_name(enum task_action action);
struct json_object *task_json(const struct task *t);
void tasks_close(struct tasks *s);
