// SPDX-License-Identifier: MIT
// Small things that every program needs: messages, memory, growing text, the clock.
#include "common/util.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *program_name = "mezz";

static char last[1001];

const char *complaint(void)
{
	return last;
}

// One write, so that the lines of several programs do not mix.
void complain(const char *fmt, ...)
{
	char line[4096];
	va_list args;

	fflush(stdout);
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	snprintf(last, sizeof(last), "%.1000s", line);
	fprintf(stderr, "%s: %s\n", program_name, line);
}

void *reallocate(void *old, size_t size)
{
	void *p = realloc(old, size ? size : 1);

	if (!p) {
		complain("out of memory");
		exit(STATUS_FAILED);
	}
	return p;
}

void *allocate(size_t size)
{
	return memset(reallocate(NULL, size), 0, size);
}

char *copy_text(const char *text, size_t length)
{
	char *copy = allocate(length + 1);

	memcpy(copy, text, length);
	return copy;
}

static char *vprint_text(const char *fmt, va_list args)
{
	char *out;

	if (vasprintf(&out, fmt, args) >= 0)
		return out;
	complain("out of memory");
	exit(STATUS_FAILED);
}

char *print_text(const char *fmt, ...)
{
	va_list args;
	char *out;

	va_start(args, fmt);
	out = vprint_text(fmt, args);
	va_end(args);
	return out;
}

void text_add(struct text *t, const void *bytes, size_t n)
{
	if (t->length + n + 1 > t->room) {
		t->room = (t->length + n + 1) * 2;
		t->data = reallocate(t->data, t->room);
	}
	if (n)
		memcpy(t->data + t->length, bytes, n);
	t->length += n;
	t->data[t->length] = '\0';
}

void text_print(struct text *t, const char *fmt, ...)
{
	va_list args;
	char *out;

	va_start(args, fmt);
	out = vprint_text(fmt, args);
	va_end(args);
	text_add(t, out, strlen(out));
	free(out);
}

void text_free(struct text *t)
{
	free(t->data);
	*t = (struct text){0};
}

int write_all(int fd, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && errno == EAGAIN) { // a terminal that somebody made non-blocking
			poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 1000);
			continue;
		}
		if (done < 0)
			return -1;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

int64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
