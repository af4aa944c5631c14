// SPDX-License-Identifier: MIT
#include "mezzd/definitions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "config/definition.h"
#include "mezzd/store.h"

// In the order of names. Takes the reference.
static void insert(struct definitions *s, struct json_object *json)
{
	struct defined *d = allocate(sizeof(*d)), **at = &s->first;
	struct json_object *value;

	strcpy(d->name, definition_name(json));
	d->json = json;
	if (json_object_object_get_ex(json, "autostart", &value))
		d->autostart = json_object_get_boolean(value);
	if (json_object_object_get_ex(json, "order", &value))
		d->order = (unsigned)json_object_get_int64(value);
	while (*at && strcmp((*at)->name, d->name) < 0)
		at = &(*at)->next;
	d->next = *at;
	*at = d;
	s->count++;
}

static void take(void *owner, const char *name, const char *text, size_t size)
{
	struct definitions *s = owner;
	char error[CONFIG_ERROR_MAX];
	struct json_object *json = definition_parse(text, size, error);
	const char *own = json ? definition_name(json) : NULL;

	if (!json) {
		complain("%s/%s.json: %s; it is left out", s->folder, name, error);
	} else if (!own || strcmp(own, name) != 0) {
		complain("%s/%s.json: the name in it is another one; it is left out", s->folder,
			name);
	} else if (s->count == DEFINITIONS_MAX) {
		complain("%s/%s.json: one more than %u; it is left out", s->folder, name,
			DEFINITIONS_MAX);
	} else {
		insert(s, json);
		return;
	}
	json_object_put(json);
}

bool definitions_open(struct definitions *s, const char *folder)
{
	*s = (struct definitions){.folder = folder};
	if (!store_open(folder))
		return false;
	store_each(folder, DEFINITION_MAX, take, s);
	return true;
}

static void drop(struct definitions *s, struct defined *d)
{
	struct defined **at = &s->first;

	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	s->count--;
	json_object_put(d->json);
	free(d);
}

void definitions_close(struct definitions *s)
{
	while (s->first)
		drop(s, s->first);
}

struct defined *definitions_find(const struct definitions *s, const char *name)
{
	struct defined *d = s->first;

	while (d && strcmp(d->name, name) != 0)
		d = d->next;
	return d;
}

int definitions_add(struct definitions *s, struct json_object *json)
{
	const char *name = definition_name(json), *text;
	size_t size;
	int error;

	if (definitions_find(s, name))
		return -EEXIST;
	if (s->count == DEFINITIONS_MAX)
		return -ENOSPC;
	text = json_object_to_json_string_length(
		json, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE, &size);
	error = size > DEFINITION_MAX ? -EFBIG : store_put(s->folder, name, text, size);
	if (!error)
		insert(s, json_object_get(json));
	return error;
}

int definitions_remove(struct definitions *s, struct defined *d)
{
	int error = store_remove(s->folder, d->name);

	if (!error)
		drop(s, d);
	return error;
}
