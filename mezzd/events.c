// SPDX-License-Identifier: MIT
#include "mezzd/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/util.h"

void events_open(struct events *e)
{
	*e = (struct events){.next = 1};
}

void events_close(struct events *e)
{
	for (unsigned i = 0; i < EVENTS_KEPT; i++)
		free(e->lines[i]);
	*e = (struct events){.next = 1};
}

void events_time(char text[TIME_SIZE])
{
	struct timespec now;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(text, TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, TIME_SIZE - n, ".%03uZ", (unsigned)(now.tv_nsec / 1000000) % 1000);
}

void events_add(struct events *e, const char *event, const char *vm, struct json_object *more)
{
	struct json_object *o = more ? more : json_object_new_object();
	char **line = &e->lines[e->next % EVENTS_KEPT], time[TIME_SIZE];

	events_time(time);
	json_object_object_add(o, "id", json_object_new_uint64(e->next));
	json_object_object_add(o, "time", json_object_new_string(time));
	json_object_object_add(o, "event", json_object_new_string(event));
	if (vm)
		json_object_object_add(o, "vm", json_object_new_string(vm));
	free(*line);
	*line = print_text(
		"%s\n", json_object_to_json_string_ext(
				o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	e->next++;
	if (e->added)
		e->added(e->owner);
}

const char *events_line(const struct events *e, uint64_t *number)
{
	uint64_t first = e->next > EVENTS_KEPT ? e->next - EVENTS_KEPT : 1;

	if (*number < first)
		*number = first;
	return *number < e->next ? e->lines[*number % EVENTS_KEPT] : NULL;
}
