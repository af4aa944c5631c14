// SPDX-License-Identifier: MIT
// The resources of the API (abi/openapi.yaml): which request asks for what. Knows nothing of connections.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "mezzd/manager.h"

#define API_BODY_MAX (256u << 10) // bytes

struct api_request {
	const char *method, *path;
	// The value of a parameter of the query, or NULL.
	const char *(*parameter)(void *owner, const char *name);
	void *owner;
	const char *body;
	size_t size;
};

enum api_stream { API_NO_STREAM, API_EVENTS, API_CONSOLE };

struct api_reply {
	struct answer answer;   // with a stream: unused
	const char *allow;      // 405: the methods that there are
	enum api_stream stream; // it goes on as it happens
	bool follow;            // else it ends with what there is now
	uint64_t position;      // where the stream begins
	uint32_t vm;            // whose console
};

void api_answer(struct manager *m, const struct api_request *q, struct api_reply *r);
