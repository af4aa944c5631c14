// SPDX-License-Identifier: MIT
#include "mezzd/http.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/util.h"
#include "mezzd/api.h"
#include "mezzd/stream.h"

#define holder(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))
#define DROPPED_MAX             (4u << 20)  // bytes
#define REQUEST_MEMORY          (32u << 10) // bytes of a request's line and headers

// A request that is being received.
struct call {
	struct text body;
	size_t dropped; // bytes of a body that is too long, which is heard out up to DROPPED_MAX
	bool too_long;
};

// ---- replies

static enum MHD_Result send_json(
	struct MHD_Connection *c, const struct answer *a, const char *allow)
{
	size_t size = 0;
	const char *text =
		a->json ? json_object_to_json_string_length(a->json,
				  JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &size)
			: "";
	struct MHD_Response *r = MHD_create_response_from_buffer(
		size, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	if (!r)
		return MHD_NO;
	if (a->json)
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	if (allow)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, allow);
	result = MHD_queue_response(c, a->status, r);
	MHD_destroy_response(r);
	return result;
}

static enum MHD_Result send_answer(struct MHD_Connection *c, struct answer a, const char *allow)
{
	enum MHD_Result result = send_json(c, &a, allow);

	json_object_put(a.json);
	return result;
}

static enum MHD_Result send_stream(
	struct http *h, struct MHD_Connection *c, const struct api_reply *reply)
{
	struct MHD_Response *r = stream_new(h, c, reply);
	enum MHD_Result result;

	if (!r)
		return send_answer(
			c, answer_error(503, "%u streams are open already", HTTP_STREAMS), NULL);
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE,
		reply->stream == API_EVENTS ? "application/jsonl" : "application/octet-stream");
	result = MHD_queue_response(c, 200, r);
	MHD_destroy_response(r);
	return result;
}

// ---- requests

static const char *parameter(void *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

static enum MHD_Result answer(struct http *h, struct MHD_Connection *c, const char *path,
	const char *method, const struct call *call)
{
	struct api_request q = {method, path, parameter, c, call->body.data ? call->body.data : "",
		call->body.length};
	struct api_reply r;

	if (call->too_long)
		return send_answer(c,
			answer_error(413, "the body is too long, expected at most %u bytes",
				API_BODY_MAX),
			NULL);
	api_answer(h->manager, &q, &r);
	return r.stream ? send_stream(h, c, &r) : send_answer(c, r.answer, r.allow);
}

// A body that is told to be much too long is not waited for.
static bool told_too_long(struct MHD_Connection *c)
{
	const char *text =
		MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return text && strtoull(text, NULL, 10) > DROPPED_MAX;
}

// Whoever sends it reads the reply only behind it.
static enum MHD_Result take_piece(struct call *call, const char *bytes, size_t size)
{
	call->too_long |= call->body.length + size > API_BODY_MAX;
	if (!call->too_long) {
		text_add(&call->body, bytes, size);
		return MHD_YES;
	}
	call->dropped += size;
	return call->dropped <= DROPPED_MAX ? MHD_YES : MHD_NO;
}

// Called when the headers are there, for each piece of the body, and at its end.
static enum MHD_Result take(void *owner, struct MHD_Connection *c, const char *path,
	const char *method, const char *version, const char *bytes, size_t *size, void **context)
{
	struct call *call = *context;
	size_t n = *size;

	(void)version;
	if (!call) {
		*context = call = allocate(sizeof(*call));
		call->too_long = told_too_long(c);
		return call->too_long ? answer(owner, c, path, method, call) : MHD_YES;
	}
	*size = 0;
	return n ? take_piece(call, bytes, n) : answer(owner, c, path, method, call);
}

static void completed(
	void *owner, struct MHD_Connection *c, void **context, enum MHD_RequestTerminationCode why)
{
	struct call *call = *context;

	(void)owner, (void)c, (void)why;
	if (call)
		text_free(&call->body);
	free(call);
	*context = NULL;
}

// ---- the loop

static void run(struct http *h)
{
	MHD_UNSIGNED_LONG_LONG ms;

	// Twice: when connections end that were as many as may be, only the next call listens again.
	MHD_run(h->daemon);
	MHD_run(h->daemon);
	if (MHD_get_timeout(h->daemon, &ms) == MHD_YES)
		loop_set(h->loop, &h->timer, clock_ms() + (int64_t)(ms < 60000 ? ms : 60000));
	else
		loop_clear(h->loop, &h->timer);
	if (h->streams && !h->wakeup.set)
		loop_set(h->loop, &h->wakeup,
			clock_ms() + (streams_have_console(h) ? HTTP_CONSOLE_MS : HTTP_GONE_MS));
}

static void ready(struct loop_source *s)
{
	run(holder(s, struct http, source));
}

static void due(struct loop_timer *t)
{
	run(holder(t, struct http, timer));
}

static void wakeup_due(struct loop_timer *t)
{
	struct http *h = holder(t, struct http, wakeup);

	streams_wake(h);
	run(h);
}

// Not at once: whoever tells may be in the middle of something.
void http_wake(struct http *h)
{
	if (h->streams)
		loop_set(h->loop, &h->wakeup, clock_ms());
}

// ---- begin and end

// The folder is root's; who may connect is the socket's to say.
static bool make_folder(const char *path)
{
	char *folder = copy_text(path, strlen(path)), *slash = strrchr(folder, '/');
	bool ok = true;

	if (slash && slash != folder) {
		*slash = 0;
		ok = mkdir(folder, 0755) == 0 || errno == EEXIST;
		if (!ok)
			complain("%s: %s", folder, strerror(errno));
	}
	free(folder);
	return ok;
}

// There is one mezzd (state_lock): a socket that is there is of one that has ended.
static int listen_at(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	mode_t mask;
	int fd;

	if (strlen(path) >= sizeof(a.sun_path)) {
		complain("%s: expected a shorter path", path);
		return -1;
	}
	strcpy(a.sun_path, path);
	unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mask = umask(0117);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
		listen(fd, HTTP_CONNECTIONS) == 0) {
		umask(mask);
		return fd;
	}
	complain("%s: %s", path, strerror(errno));
	umask(mask);
	if (fd >= 0)
		close(fd);
	return -1;
}

static void say(void *owner, const char *fmt, va_list args)
{
	(void)owner, (void)fmt, (void)args; // it is about what clients do wrong, and they are told
}

bool http_open(struct http *h, struct loop *l, struct manager *m, const char *path)
{
	int fd = make_folder(path) ? listen_at(path) : -1;
	const union MHD_DaemonInfo *info;

	*h = (struct http){
		.loop = l, .manager = m, .path = path, .timer.due = due, .wakeup.due = wakeup_due};
	if (fd < 0)
		return false;
	h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
		0, NULL, NULL, take, h, MHD_OPTION_EXTERNAL_LOGGER, say, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS,
		MHD_OPTION_CONNECTION_TIMEOUT, HTTP_SILENCE, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)REQUEST_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_END);
	info = h->daemon ? MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info) {
		complain("%s: the HTTP server does not start", path);
		return false;
	}
	h->source = (struct loop_source){info->epoll_fd, ready};
	return loop_watch(l, &h->source);
}

void http_close(struct http *h)
{
	loop_clear(h->loop, &h->timer);
	loop_clear(h->loop, &h->wakeup);
	loop_forget(h->loop, &h->source);
	streams_end(h);
	MHD_run(h->daemon);
	MHD_stop_daemon(h->daemon);
	unlink(h->path);
}
