// SPDX-License-Identifier: MIT
// What happened, for those who listen: the last EVENTS_KEPT events, each a line of JSON with a number.
#pragma once

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#define EVENTS_KEPT 1024u

struct events {
	char *lines[EVENTS_KEPT];   // by number % EVENTS_KEPT
	uint64_t next;              // number of the next one; the first is 1
	void (*added)(void *owner); // called after each, unless it is NULL
	void *owner;
};

void events_open(struct events *e);
void events_close(struct events *e);

// vm may be NULL. Takes `more`, an object whose members are added, or NULL.
void events_add(struct events *e, const char *event, const char *vm, struct json_object *more);

// The line, with its new line, of the first event that is kept with at least this number; its number in *number. NULL: none yet.
const char *events_line(const struct events *e, uint64_t *number);

// The time as the API tells it: "2026-01-31T12:00:00.000Z", in a buffer of TIME_SIZE bytes.
#define TIME_SIZE 32u
void events_time(char text[TIME_SIZE]);
