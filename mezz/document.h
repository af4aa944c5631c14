// SPDX-License-Identifier: MIT
// One YAML document with the line of each of its nodes, for messages that name the place.
#pragma once

#include <stdbool.h>
#include <yaml.h>

struct document {
	const char *path;
	char *error; // CONFIG_ERROR_MAX bytes
	yaml_document_t yaml;
};

// Reads the file at path as exactly one document. On failure writes *error and returns false.
bool document_load(struct document *d, const char *path, char *error);
void document_free(struct document *d);

// Writes "FILE:LINE: TEXT" to the document's error and returns false. A NULL node stands for line 1.
__attribute__((format(printf, 3, 4))) bool document_fail(
	struct document *d, const yaml_node_t *at, const char *fmt, ...);

// The scalar's text in *out, owned by the document; fails unless it is one line without control characters.
bool document_text(struct document *d, const char *key, const yaml_node_t *node, const char **out);

// The node behind a child's index, as pairs and items hold it.
yaml_node_t *document_node(struct document *d, int index);
