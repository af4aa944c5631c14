// SPDX-License-Identifier: MIT
// One YAML document with the line of each of its nodes, for messages that name the place.
#pragma once

#include <stdbool.h>
#include <yaml.h>

struct document {
	const char *path; // NULL: no file, so that messages name no place and paths begin with /
	char *error;      // CONFIG_ERROR_MAX bytes
	yaml_document_t yaml;
};

// Reads the file at path as exactly one document. On failure writes *error and returns false.
bool document_load(struct document *d, const char *path, char *error);

// The same with bytes that are in memory already.
bool document_parse(
	struct document *d, const char *path, const char *bytes, size_t size, char *error);
void document_free(struct document *d);

// Writes "FILE:LINE: TEXT" to the document's error and returns false. A NULL node stands for line 1.
__attribute__((format(printf, 3, 4))) bool document_fail(
	struct document *d, const yaml_node_t *at, const char *fmt, ...);

// The scalar's text in *out, owned by the document; fails unless it is one line without control characters.
bool document_text(struct document *d, const char *key, const yaml_node_t *node, const char **out);

// A key of a mapping. read takes its value into what `out` is, and returns false after document_fail; where it is NULL the
// caller reads the value.
struct document_key {
	const char *name;
	bool (*read)(struct document *d, void *out, const yaml_node_t *node);
};

// Reads a mapping whose keys are among `keys` (the last has no name), each once at most, in their order in the document.
// at[i], unless at is NULL, is then the value's node of keys[i], or NULL where it is missing. A node that is no mapping
// fails with the message `otherwise`.
bool document_mapping(struct document *d, const yaml_node_t *node, const char *otherwise,
	const struct document_key *keys, void *out, const yaml_node_t **at);

// The node behind a child's index, as pairs and items hold it.
yaml_node_t *document_node(struct document *d, int index);
