// SPDX-License-Identifier: MIT
// One YAML document with the line of each of its nodes, for messages that name the place.
#include "config/document.h"

#include "common/util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"

static bool fail_line(struct document *d, size_t line, const char *fmt, va_list args)
{
	int n = d->path ? snprintf(d->error, CONFIG_ERROR_MAX, "%s:%zu: ", d->path, line) : 0;

	if (n >= 0 && n < CONFIG_ERROR_MAX)
		vsnprintf(d->error + n, (size_t)(CONFIG_ERROR_MAX - n), fmt, args);
	for (char *p = d->error; *p; p++) // it stays one line, whatever it quotes
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	return false;
}

__attribute__((format(printf, 3, 4))) static bool fail_at(
	struct document *d, size_t line, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fail_line(d, line, fmt, args);
	va_end(args);
	return false;
}

bool document_fail(struct document *d, const yaml_node_t *at, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fail_line(d, at ? at->start_mark.line + 1 : 1, fmt, args);
	va_end(args);
	return false;
}

static bool fail_parser(struct document *d, const yaml_parser_t *parser)
{
	size_t line = parser->problem_mark.line + 1;
	const char *problem = parser->problem ? parser->problem : "it cannot be read";

	if (parser->context)
		return fail_at(d, line, "%s (%s), expected YAML", problem, parser->context);
	return fail_at(d, line, "%s, expected YAML", problem);
}

static bool load_one(struct document *d, yaml_parser_t *parser)
{
	yaml_document_t next;
	yaml_node_t *extra;
	bool ok;

	if (!yaml_parser_load(parser, &d->yaml))
		return fail_parser(d, parser);
	if (!yaml_parser_load(parser, &next)) {
		document_free(d);
		return fail_parser(d, parser);
	}
	extra = yaml_document_get_root_node(&next);
	ok = !extra || document_fail(d, extra, "a second document, expected only one");
	yaml_document_delete(&next);
	if (!ok)
		document_free(d);
	return ok;
}

bool document_parse(
	struct document *d, const char *path, const char *bytes, size_t size, char *error)
{
	yaml_parser_t parser;
	bool ok;

	*d = (struct document){.path = path, .error = error};
	if (size > CONFIG_FILE_MAX)
		return document_fail(d, NULL, "longer than 1 MiB, expected a configuration");
	if (!yaml_parser_initialize(&parser))
		return document_fail(d, NULL, "out of memory, expected enough");
	yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, size);
	ok = load_one(d, &parser);
	yaml_parser_delete(&parser);
	return ok;
}

bool document_load(struct document *d, const char *path, char *error)
{
	static char content[CONFIG_FILE_MAX + 1];
	size_t size;
	FILE *file;
	bool ok;

	*d = (struct document){.path = path, .error = error};
	file = fopen(path, "re");
	if (!file)
		return document_fail(d, NULL, "%s, expected a YAML file", strerror(errno));
	size = fread(content, 1, sizeof(content), file);
	ok = !ferror(file) || document_fail(d, NULL, "%s, expected a YAML file", strerror(errno));
	fclose(file);
	return ok && document_parse(d, path, content, size, error);
}

void document_free(struct document *d)
{
	yaml_document_delete(&d->yaml);
}

bool document_text(struct document *d, const char *key, const yaml_node_t *node, const char **out)
{
	const char *text;

	if (node->type != YAML_SCALAR_NODE)
		return document_fail(d, node, "%s: %s, expected one value", key,
			node->type == YAML_SEQUENCE_NODE ? "a list" : "a mapping");
	text = (const char *)node->data.scalar.value;
	for (size_t i = 0; i < node->data.scalar.length; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return document_fail(d, node,
				"%s: a control character or a line break, expected one line of text",
				key);
	*out = text;
	return true;
}

static bool fail_key(struct document *d, const yaml_node_t *at, const char *text,
	const struct document_key *keys)
{
	struct text names = {0};

	for (size_t i = 0; keys[i].name; i++)
		text_print(&names, "%s%s", i ? ", " : "", keys[i].name);
	document_fail(d, at, "unknown key '%.40s', expected one of %s", text, names.data);
	text_free(&names);
	return false;
}

#define KEYS_MAX 64

bool document_mapping(struct document *d, const yaml_node_t *node, const char *otherwise,
	const struct document_key *keys, void *out, const yaml_node_t **at)
{
	bool seen[KEYS_MAX] = {0};

	if (node->type != YAML_MAPPING_NODE)
		return document_fail(d, node, "%s", otherwise);
	for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
		p++) {
		const yaml_node_t *key = document_node(d, p->key);
		const yaml_node_t *value = document_node(d, p->value);
		const char *text;
		size_t i = 0;

		if (!document_text(d, "key", key, &text))
			return false;
		while (keys[i].name && strcmp(keys[i].name, text) != 0)
			i++;
		if (!keys[i].name)
			return fail_key(d, key, text, keys);
		if (seen[i])
			return document_fail(d, key, "key '%s' twice, expected it once", text);
		seen[i] = true;
		if (at)
			at[i] = value;
		if (keys[i].read && !keys[i].read(d, out, value))
			return false;
	}
	return true;
}

yaml_node_t *document_node(struct document *d, int index)
{
	return yaml_document_get_node(&d->yaml, index);
}
