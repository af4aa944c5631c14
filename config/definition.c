// SPDX-License-Identifier: MIT
#include "config/definition.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/util.h"

#define DEPTH 8 // of objects and lists in one another; a disk's is 4

// Which types of JSON a key's value has, or those in the list that it is; all others are texts.
enum { TEXT = 1, NUMBER = 2, BOOLEAN = 4 };

static const struct {
	const char *key;
	unsigned types;
} typed[] = {{"vcpus", NUMBER}, {"weight", NUMBER}, {"cap", NUMBER}, {"affinity", NUMBER},
	{"repeat", NUMBER}, {"order", NUMBER}, {"storm", NUMBER}, {"trunk", NUMBER},
	{"vlan", NUMBER | TEXT}, {"balloon", BOOLEAN | TEXT}, {"debug_exit", BOOLEAN},
	{"autostart", BOOLEAN}};

static unsigned types_of(const char *key)
{
	for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++)
		if (strcmp(typed[i].key, key) == 0)
			return typed[i].types;
	return TEXT;
}

static bool has_type(struct json_object *value, unsigned types)
{
	switch (json_object_get_type(value)) {
	case json_type_string:
		return types & TEXT;
	case json_type_int:
		return types & NUMBER;
	case json_type_boolean:
		return types & BOOLEAN;
	default:
		return false;
	}
}

// The depth is bounded by the parser's.
static bool check_types(const char *key, struct json_object *value, char *error)
{
	static const char *const expected[] = {[TEXT] = "a text",
		[NUMBER] = "a whole number",
		[NUMBER | TEXT] = "a whole number or a text",
		[BOOLEAN] = "true or false",
		[BOOLEAN | TEXT] = "true, false or a text"};

	if (json_object_is_type(value, json_type_object)) {
		json_object_object_foreach(value, name, member)
		{
			if (!check_types(name, member, error))
				return false;
		}
		return true;
	}
	if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(value); i++)
			if (!check_types(key, json_object_array_get_idx(value, i), error))
				return false;
		return true;
	}
	if (has_type(value, types_of(key)))
		return true;
	snprintf(error, CONFIG_ERROR_MAX, "%.40s: expected %s", key, expected[types_of(key)]);
	return false;
}

static void fail_syntax(enum json_tokener_error why, size_t at, char *error)
{
	const char *what = why == json_tokener_continue  ? "it ends too early"
			   : why == json_tokener_success ? "more behind the end"
							 : json_tokener_error_desc(why);

	snprintf(error, CONFIG_ERROR_MAX, "byte %zu: %s, expected JSON", at + 1, what);
}

static struct json_object *parse(const char *text, size_t size, char *error)
{
	struct json_tokener *t = json_tokener_new_ex(DEPTH);
	struct json_object *o;

	if (!t) {
		snprintf(error, CONFIG_ERROR_MAX, "out of memory, expected enough");
		return NULL;
	}
	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(t, text, (int)size);
	if (json_tokener_get_error(t) != json_tokener_success ||
		json_tokener_get_parse_end(t) != size) {
		fail_syntax(json_tokener_get_error(t), json_tokener_get_parse_end(t), error);
		json_object_put(o);
		o = NULL;
	} else if (!json_object_is_type(o, json_type_object)) {
		snprintf(error, CONFIG_ERROR_MAX, "no object, expected a VM with its keys");
		json_object_put(o);
		o = NULL;
	}
	json_tokener_free(t);
	return o;
}

struct json_object *definition_parse(const char *text, size_t size, char *error)
{
	struct json_object *o;

	if (size > DEFINITION_MAX) {
		snprintf(error, CONFIG_ERROR_MAX, "%zu bytes, expected at most %u", size,
			DEFINITION_MAX);
		return NULL;
	}
	while (size && strchr(" \t\r\n", text[size - 1])) // a file's end
		size--;
	o = parse(text, size, error);
	if (o && !check_types("", o, error)) {
		json_object_put(o);
		return NULL;
	}
	return o;
}

// As a configuration: JSON is YAML, but for the slash that JSON may escape.
static struct json_object *wrap(struct json_object *definition)
{
	struct json_object *all = json_object_new_object(), *vms = json_object_new_array(),
			   *vm = json_object_new_object();

	json_object_object_foreach(definition, key, value)
	{
		json_object_object_add(
			strcmp(key, "switches") == 0 ? all : vm, key, json_object_get(value));
	}
	json_object_array_add(vms, vm);
	json_object_object_add(all, "vms", vms);
	return all;
}

bool definition_check(struct json_object *definition, struct config *out, char *error)
{
	struct json_object *all = wrap(definition);
	size_t size;
	const char *text = json_object_to_json_string_length(
		all, JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE, &size);
	bool ok = config_parse(text, size, out, error);

	json_object_put(all);
	return ok;
}

const char *definition_name(struct json_object *definition)
{
	struct json_object *name;
	const char *text;
	size_t length;

	if (!json_object_object_get_ex(definition, "name", &name) ||
		!json_object_is_type(name, json_type_string))
		return NULL;
	text = json_object_get_string(name);
	length = (size_t)json_object_get_string_len(name);
	if (!length || length > BUNDLE_NAME_MAX ||
		length != strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-"))
		return NULL;
	return text;
}
