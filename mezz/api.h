// SPDX-License-Identifier: MIT
// Requests to mezzd (abi/openapi.yaml). A client of its own, and a small one: it talks to one server on a Unix socket, as HTTP/1.0, whose
// replies end with the connection; libcurl would not go into a static program without the thirty libraries that it needs.
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

// Where mezzd listens: $MEZZD_SOCKET, or its place.
const char *api_socket(void);

// Does a mezzd listen? No message.
bool api_there(void);

struct api_reply {
	int status;
	struct json_object *json; // NULL: none
};

// Asks, and frees the last reply in *r (all zero at first). False after a message: it could not be asked, or answered with an error.
bool api_ask(
	const char *method, const char *path, const void *body, size_t size, struct api_reply *r);
void api_free(struct api_reply *r);

// A reply that goes on: a descriptor from which its body is read. -1 after a message.
int api_stream(const char *path);
