// SPDX-License-Identifier: MIT
// mezz vm console.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "common/util.h"
#include "mezz/api.h"
#include "mezz/vm.h"

#define KEY_LEAVE 0x1d // Ctrl-]
#define AGAIN_MS  50   // a guest that is late takes the rest later
#define TRIES     100

// What the terminal was; typed keys go to the guest as they are.
static bool make_raw(struct termios *before)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, before) != 0)
		return false;
	raw = *before;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST; // so that messages begin at the left
	return tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

// False after a message.
static bool type(const char *path, const char *bytes, size_t size)
{
	struct api_reply r = {0};
	size_t taken = 0;
	bool ok = true;

	for (int i = 0; ok && taken < size && i < TRIES; i++) {
		if (i)
			poll(NULL, 0, AGAIN_MS);
		ok = api_ask("POST", path, bytes + taken, size - taken, &r);
		if (ok)
			taken += (size_t)json_object_get_int64(
				json_object_object_get(r.json, "taken"));
		if (taken > size)
			taken = size;
	}
	api_free(&r);
	return ok;
}

// From the console to the output. 1: goes on, 0: it has ended, -1: failed.
static int show(int stream)
{
	char bytes[4096];
	ssize_t n = read(stream, bytes, sizeof(bytes));

	if (n < 0 && errno == EINTR)
		return 1;
	if (n <= 0)
		return n < 0 ? -1 : 0;
	return write_all(STDOUT_FILENO, bytes, (size_t)n) == 0 ? 1 : -1;
}

// From the keyboard to the console. 1: goes on, 0: no more is typed, -1: it is to be left.
static int take_keys(const char *path)
{
	char bytes[1024], *leave;
	ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));

	if (n < 0 && errno == EINTR)
		return 1;
	if (n <= 0)
		return 0;
	leave = memchr(bytes, KEY_LEAVE, (size_t)n);
	if (leave)
		n = leave - bytes;
	if (!type(path, bytes, (size_t)n) || leave)
		return -1;
	return 1;
}

static int attend(int stream, const char *path)
{
	struct pollfd p[2] = {{stream, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
	int on = 1;

	while (on > 0) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return STATUS_FAILED;
		if (p[0].revents)
			on = show(stream);
		if (on > 0 && p[1].revents) {
			int keys = take_keys(path);

			if (keys < 0)
				return STATUS_OK;
			if (!keys)
				p[1].fd = -1;
		}
	}
	return on < 0 ? STATUS_FAILED : STATUS_OK;
}

static int show_all(int stream)
{
	int on;

	while ((on = show(stream)) > 0)
		;
	return on < 0 ? STATUS_FAILED : STATUS_OK;
}

int vm_console(const struct vm_options *o, const char *name)
{
	char *path = print_text("/v1/vms/%s/console", name);
	char *query = print_text("%s?follow=%s", path, o->once ? "false" : "true");
	int stream = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name)
			     ? api_stream(query)
			     : -2;
	int status = STATUS_FAILED;
	struct termios before;
	bool raw;

	if (stream == -2)
		complain("no VM '%s': expected a name of a-z, 0-9 and -", name);
	if (stream >= 0) {
		raw = !o->once && make_raw(&before);
		status = o->once ? show_all(stream) : attend(stream, path);
		if (raw)
			tcsetattr(STDIN_FILENO, TCSANOW, &before);
		close(stream);
	}
	free(query);
	free(path);
	return status;
}
