// SPDX-License-Identifier: MIT
#include "mezzd/stream.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/device.h"
#include "common/util.h"

// ---- what there is to send

static bool fetch_event(struct stream *s)
{
	const char *line = events_line(&s->http->manager->events, &s->position);

	if (!line)
		return false;
	s->size = strlen(line);
	s->text = copy_text(line, s->size); // it may be dropped before it is sent
	s->position++;
	return true;
}

// Its VM may end while it is read: that is the text's end.
static bool fetch_console(struct stream *s)
{
	struct mezz_log *log = allocate(sizeof(*log));
	int n = device_console_read(s->vm, s->position, log);

	if (n > 0 && log->size <= sizeof(log->text)) {
		s->size = log->size;
		s->text = copy_text(log->text, s->size);
		s->position = log->position;
	}
	s->gone |= n < 0;
	free(log);
	return s->text != NULL;
}

static bool fetch(struct stream *s)
{
	free(s->text);
	s->text = NULL;
	s->size = s->sent = 0;
	return s->kind == API_EVENTS ? fetch_event(s) : fetch_console(s);
}

static ssize_t read_stream(void *owner, uint64_t position, char *buffer, size_t max)
{
	struct stream *s = owner;
	size_t n;

	(void)position;
	if (s->sent == s->size && !s->gone && !fetch(s)) {
		if (!s->follow || s->gone)
			return MHD_CONTENT_READER_END_OF_STREAM;
		s->suspended = true;
		MHD_suspend_connection(s->connection);
		return 0;
	}
	if (s->gone)
		return MHD_CONTENT_READER_END_OF_STREAM;
	n = s->size - s->sent < max ? s->size - s->sent : max;
	memcpy(buffer, s->text + s->sent, n);
	s->sent += n;
	return (ssize_t)n;
}

// ---- its life

static void end_stream(void *owner)
{
	struct stream *s = owner, **at = &s->http->streams;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	s->http->stream_count--;
	free(s->text);
	free(s);
}

struct MHD_Response *stream_new(struct http *h, struct MHD_Connection *c, const struct api_reply *r)
{
	struct MHD_Response *response;
	struct stream *s;

	if (h->stream_count == HTTP_STREAMS)
		return NULL;
	s = allocate(sizeof(*s));
	*s = (struct stream){.next = h->streams,
		.http = h,
		.connection = c,
		.kind = r->stream,
		.follow = r->follow,
		.vm = r->vm,
		.position = r->position};
	h->streams = s;
	h->stream_count++;
	response = MHD_create_response_from_callback(
		MHD_SIZE_UNKNOWN, 4096, read_stream, s, end_stream);
	if (!response)
		end_stream(s);
	return response;
}

// While a connection is suspended the library does not look at it.
static bool has_gone(const struct stream *s)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(s->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	char byte;

	return info && recv(info->connect_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void streams_wake(struct http *h)
{
	for (struct stream *s = h->streams; s; s = s->next) {
		if (!s->suspended)
			continue;
		s->gone |= has_gone(s);
		s->suspended = false;
		MHD_resume_connection(s->connection);
	}
}

bool streams_have_console(const struct http *h)
{
	for (const struct stream *s = h->streams; s; s = s->next)
		if (s->kind == API_CONSOLE)
			return true;
	return false;
}

void streams_end(struct http *h)
{
	for (struct stream *s = h->streams; s; s = s->next)
		s->gone = true;
	streams_wake(h);
}
