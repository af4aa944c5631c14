// SPDX-License-Identifier: MIT
// Definitions of the VMs of a configuration file: what is YAML there becomes JSON, and its paths absolute.
#include "config/definition.h"

#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "config/document.h"

static const char *const paths[] = {
	"kernel", "initrd", "modules", "firmware", "image", "user_data", "network_config"};
static const char *const words[] = {
	"name", "switch", "device", "cmdline", "memory", "mac"}; // texts, though digits

static bool is_one_of(const char *const *list, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i], key) == 0)
			return true;
	return false;
}
#define IS_ONE_OF(list, key) is_one_of(list, sizeof(list) / sizeof(list[0]), key)

static const char *text_of(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

static struct json_object *scalar(const char *folder, const char *key, const yaml_node_t *node)
{
	const char *text = text_of(node);
	struct json_object *o;
	char *path;

	if (IS_ONE_OF(paths, key) && text[0] != '/') {
		path = print_text("%s/%s", folder, text);
		o = json_object_new_string(path);
		free(path);
		return o;
	}
	if (IS_ONE_OF(paths, key) || IS_ONE_OF(words, key))
		return json_object_new_string(text);
	if (*text && strspn(text, "0123456789") == strlen(text))
		return json_object_new_int64(strtoll(text, NULL, 10));
	if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
		return json_object_new_boolean(*text == 't');
	return json_object_new_string(text);
}

// What was checked as a configuration is not deeper than its keys are.
static struct json_object *convert(
	struct document *d, const char *folder, const char *key, const yaml_node_t *node)
{
	struct json_object *o;

	if (node->type == YAML_SCALAR_NODE)
		return scalar(folder, key, node);
	if (node->type == YAML_SEQUENCE_NODE) {
		o = json_object_new_array();
		for (yaml_node_item_t *i = node->data.sequence.items.start;
			i < node->data.sequence.items.top; i++)
			json_object_array_add(o, convert(d, folder, key, document_node(d, *i)));
		return o;
	}
	o = json_object_new_object();
	for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
		p++) {
		const char *name = text_of(document_node(d, p->key));

		json_object_object_add(
			o, name, convert(d, folder, name, document_node(d, p->value)));
	}
	return o;
}

static bool uses(struct json_object *vm, struct json_object *one)
{
	struct json_object *nics = json_object_object_get(vm, "nics");

	for (size_t i = 0; nics && i < json_object_array_length(nics); i++)
		if (json_object_equal(
			    json_object_object_get(json_object_array_get_idx(nics, i), "switch"),
			    json_object_object_get(one, "name")))
			return true;
	return false;
}

// The switches that the VM's cards name.
static void add_switches(struct json_object *vm, struct json_object *switches)
{
	struct json_object *own = json_object_new_array();

	for (size_t i = 0; switches && i < json_object_array_length(switches); i++) {
		struct json_object *one = json_object_array_get_idx(switches, i);

		if (uses(vm, one))
			json_object_array_add(own, json_object_get(one));
	}
	if (json_object_array_length(own))
		json_object_object_add(vm, "switches", own);
	else
		json_object_put(own);
}

static struct json_object *definitions(struct document *d, const char *folder)
{
	struct json_object *all = convert(d, folder, "", yaml_document_get_root_node(&d->yaml));
	struct json_object *vms = json_object_get(json_object_object_get(all, "vms"));

	for (size_t i = 0; vms && i < json_object_array_length(vms); i++)
		add_switches(
			json_object_array_get_idx(vms, i), json_object_object_get(all, "switches"));
	json_object_put(all);
	return vms ? vms : json_object_new_array();
}

// Absolute; the caller frees it.
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *given = slash ? copy_text(path, (size_t)(slash + 1 - path)) : copy_text(".", 1);
	char *folder = realpath(given, NULL);

	free(given);
	return folder;
}

struct json_object *definition_load(const char *path, char *error)
{
	struct config *config = allocate(sizeof(*config));
	struct json_object *all = NULL;
	struct document d;
	char *folder;
	bool ok = config_load(path, config, error);

	if (ok)
		config_free(config);
	free(config);
	if (!ok || !document_load(&d, path, error))
		return NULL;
	folder = folder_of(path);
	if (folder)
		all = definitions(&d, folder);
	else
		document_fail(&d, NULL, "its folder is there no more, expected a YAML file");
	free(folder);
	document_free(&d);
	return all;
}
