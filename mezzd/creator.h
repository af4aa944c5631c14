// SPDX-License-Identifier: MIT
// Makes a VM of its definition, in a process of its own: reading kernel and initrd and handing them over takes its time, and mezzd
// has others to look after. The process dies with mezzd.
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "mezzd/loop.h"

struct creator_result {
	int64_t id;        // of the VM, or -errno
	char message[512]; // one line, when it failed
};

struct creator {
	struct loop *loop;
	struct loop_source source; // the result's pipe
	pid_t pid;                 // 0: nothing is being created
	void (*done)(struct creator *c, const struct creator_result *result);
};

// Begins; c->done is called from the loop, once. False after a message: there is no process to be had.
bool creator_start(struct creator *c, struct loop *l, struct json_object *definition);

// Ends it without a result, if there is one.
void creator_stop(struct creator *c);
