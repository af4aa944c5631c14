// SPDX-License-Identifier: MIT
// The VMs of the machine for those who manage it: which are defined, which run, and orders to them.
//
// Which run is the kernel's to tell, at each question: what is kept here of that is only what was last seen, so that there can be an
// event about what has changed.
#pragma once

#include <json-c/json.h>

#include "mezzd/creator.h"
#include "mezzd/definitions.h"
#include "mezzd/events.h"
#include "mezzd/loop.h"
#include "mezzd/tasks.h"

#define MANAGER_LOOK_MS  1000 // between two looks at the VMs; MANAGER_BUSY_MS while there are tasks
#define MANAGER_BUSY_MS  100
#define MANAGER_PRESS_MS 1000  // between two presses of a power button
#define MANAGER_START_MS 60000 // so long may a back-end take to start its VM

struct seen {
	char name[MEZZ_NAME_SIZE];
	uint32_t id, state;
};

struct manager {
	struct loop *loop;
	struct definitions definitions;
	struct events events;
	struct tasks tasks;
	struct creator creator;
	struct task *creating; // whose turn it is
	struct loop_timer look;
	struct seen *seen; // the VMs at the last look
	size_t seen_count;
	bool looked;
	char *autostart_done;         // a file, in memory: the VMs to start by themselves have been
	void (*created)(void *owner); // a VM was made: may be NULL
	void *owner;
};

// A reply to a question or an order: an HTTP status, and a JSON object that the caller frees.
struct answer {
	unsigned status;
	struct json_object *json;
};

__attribute__((format(printf, 2, 3))) struct answer answer_error(
	unsigned status, const char *fmt, ...);

// folder: of state.h; store: of store.h. Starts the VMs that start by themselves, once after each start of the machine. False after a
// message.
bool manager_open(struct manager *m, struct loop *l, const char *folder, const char *store);
void manager_close(struct manager *m);

// Looks at the VMs soon.
void manager_hurry(struct manager *m);

// The VM of that name that runs, or with that number; 1, 0: none, -1: the kernel does not tell.
int manager_running(const char *word, struct mezz_vm *vm);

struct answer manager_list(struct manager *m);
struct answer manager_show(struct manager *m, const char *word);
struct answer manager_define(struct manager *m, const char *text, size_t size);
struct answer manager_delete(struct manager *m, const char *name);

// force: a restart does not ask the guest. seconds: until a shutdown, or that of a restart, is given up.
struct answer manager_order(
	struct manager *m, const char *word, enum task_action action, bool force, unsigned seconds);
struct answer manager_do(struct manager *m, const char *word, enum mezz_vm_op op);
struct answer manager_tasks(const struct manager *m);
