// SPDX-License-Identifier: MIT
#include "mezz/api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/util.h"

#define REPLY_MAX (64u << 20) // bytes of a body
#define HEAD_MAX  8192u

const char *api_socket(void)
{
	const char *path = getenv("MEZZD_SOCKET");

	return path && *path ? path : "/run/mezz/mezzd.sock";
}

// Without a message: -1 with errno.
static int connect_to(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(a.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

bool api_there(void)
{
	int fd = connect_to(api_socket());

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

// Sends all; the descriptor, or -1 after a message.
static int send_request(const char *method, const char *path, const void *body, size_t size)
{
	struct text head = {0};
	int fd = connect_to(api_socket());

	if (fd < 0) {
		complain("%s: %s: expected mezzd to run", api_socket(), strerror(errno));
		return -1;
	}
	text_print(&head, "%s %s HTTP/1.0\r\nContent-Length: %zu\r\n\r\n", method, path, size);
	if (send(fd, head.data, head.length, MSG_NOSIGNAL) != (ssize_t)head.length ||
		(size && send(fd, body, size, MSG_NOSIGNAL) != (ssize_t)size)) {
		complain("%s: %s", api_socket(), strerror(errno));
		close(fd);
		fd = -1;
	}
	text_free(&head);
	return fd;
}

// The reply's status and the length of its body (-1: it is not told), from its head, byte by byte: what follows stays unread. False
// after a message.
static bool read_head(int fd, int *status, long long *length)
{
	char head[HEAD_MAX + 1];
	const char *at;
	size_t n = 0;

	while (n < HEAD_MAX && !(n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0)) {
		ssize_t got = read(fd, head + n, 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		n++;
	}
	head[n] = 0;
	*length = -1;
	if (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0 ||
		sscanf(head, "HTTP/1.%*1[01] %3d ", status) != 1) {
		complain("%s: no reply of mezzd's", api_socket());
		return false;
	}
	at = strcasestr(head, "\r\nContent-Length:");
	if (at)
		*length = strtoll(at + strlen("\r\nContent-Length:"), NULL, 10);
	return true;
}

static bool read_body(int fd, long long length, struct text *body)
{
	char piece[16384];
	ssize_t n = 0;

	while (body->length != (size_t)length && (n = read(fd, piece, sizeof(piece))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || body->length + (size_t)n > REPLY_MAX)
			break;
		text_add(body, piece, (size_t)n);
	}
	if (length < 0 ? n == 0 : body->length == (size_t)length)
		return true;
	complain("%s: the reply is not whole", api_socket());
	return false;
}

static bool tell_error(const struct api_reply *r)
{
	struct json_object *error;

	if (r->status < 400)
		return true;
	if (json_object_object_get_ex(r->json, "error", &error))
		complain("%s", json_object_get_string(error));
	else
		complain("mezzd answered with status %d", r->status);
	return false;
}

static bool read_reply(int fd, struct api_reply *r)
{
	struct text body = {0};
	long long length;
	bool ok = read_head(fd, &r->status, &length) && read_body(fd, length, &body);

	if (ok && body.length) {
		r->json = json_tokener_parse(body.data);
		ok = r->json || r->status >= 400;
		if (!ok)
			complain("%s: a reply that is no JSON", api_socket());
	}
	text_free(&body);
	return ok && tell_error(r);
}

bool api_ask(
	const char *method, const char *path, const void *body, size_t size, struct api_reply *r)
{
	int fd = send_request(method, path, body, size);
	bool ok;

	api_free(r);
	if (fd < 0)
		return false;
	ok = read_reply(fd, r);
	close(fd);
	return ok;
}

void api_free(struct api_reply *r)
{
	json_object_put(r->json);
	*r = (struct api_reply){0};
}

int api_stream(const char *path)
{
	int fd = send_request("GET", path, NULL, 0);
	struct api_reply r = {0};
	long long length;

	if (fd < 0)
		return -1;
	if (!read_head(fd, &r.status, &length)) {
		close(fd);
		return -1;
	}
	if (r.status == 200)
		return fd;
	if (r.status >= 400) {
		struct text body = {0};

		if (read_body(fd, length, &body)) {
			r.json = body.length ? json_tokener_parse(body.data) : NULL;
			tell_error(&r);
		}
		text_free(&body);
		api_free(&r);
	}
	close(fd);
	return -1;
}
