// SPDX-License-Identifier: MIT
// The VMs that are defined, whether they run or not: in memory by their names, and in the folder of store.h.
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "abi/hypercall.h"

#define DEFINITIONS_MAX 1024u

struct defined {
	struct defined *next;
	char name[MEZZ_NAME_SIZE];
	struct json_object *json; // config/definition.h
	bool autostart;
	unsigned order;
};

struct definitions {
	const char *folder; // stays with the caller
	struct defined *first;
	size_t count;
};

// Reads the folder. A file that holds no definition is left alone, with a message. False after a message.
bool definitions_open(struct definitions *s, const char *folder);
void definitions_close(struct definitions *s);

struct defined *definitions_find(const struct definitions *s, const char *name);

// Takes a definition that was parsed, whose name is good, and a reference to it; it is on the disk when this returns 0. -EEXIST: there
// is one of this name; -ENOSPC: DEFINITIONS_MAX, or the disk is full; another -errno of the disk.
int definitions_add(struct definitions *s, struct json_object *json);

// 0 or -errno of the disk, and it is still there.
int definitions_remove(struct definitions *s, struct defined *d);
