// SPDX-License-Identifier: MIT
// A reply that goes on as things happen: events, or the text of a console. When there is nothing to send its connection is suspended.
#pragma once

#include "mezzd/api.h"
#include "mezzd/http.h"

struct stream {
	struct stream *next;
	struct http *http;
	struct MHD_Connection *connection;
	enum api_stream kind;
	bool follow, suspended, gone;
	uint32_t vm;
	uint64_t position; // of the next event, or of the console
	char *text;        // that was fetched: a line, or a piece of the console
	size_t size, sent;
};

// The response, or NULL: there are HTTP_STREAMS already.
struct MHD_Response *stream_new(
	struct http *h, struct MHD_Connection *c, const struct api_reply *r);

// Lets those that wait look for something new, or end as their listener has gone.
void streams_wake(struct http *h);
bool streams_have_console(const struct http *h);

// Wakes them all for the end.
void streams_end(struct http *h);
