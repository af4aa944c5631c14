// SPDX-License-Identifier: MIT
// The files of `mezz run --log DIR`: the kernel's log, the events, each VM's console as it came.
#include "mezz/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

static int open_log(const char *folder, const char *name)
{
	char *path = print_text("%s/%s.log", folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666);

	if (fd < 0)
		complain("%s: %s", path, strerror(errno));
	free(path);
	return fd;
}

// mkdir -p
static bool make_folders(const char *folder)
{
	char *path = copy_text(folder, strlen(folder));
	int error = 0;

	for (char *p = path + 1; *path && !error; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(path, 0777) != 0 && errno != EEXIST)
			error = errno;
		*p = c;
		if (!c)
			break;
	}
	free(path);
	if (error)
		complain("%s: %s", folder, strerror(error));
	return !error;
}

bool logs_open(struct logs *l, const struct config *config, const char *folder)
{
	*l = (struct logs){.kernel = -1, .events = -1, .start = clock_ms()};
	l->vm_count = config->vm_count;
	for (unsigned i = 0; i < l->vm_count; i++)
		l->vm[i] = -1;
	if (!folder)
		return true;
	if (!make_folders(folder) || (l->kernel = open_log(folder, "mezzanine")) < 0 ||
		(l->events = open_log(folder, "events")) < 0)
		return false;
	for (unsigned i = 0; i < l->vm_count; i++)
		if ((l->vm[i] = open_log(folder, config->vms[i].name)) < 0)
			return false;
	return true;
}

void logs_close(struct logs *l)
{
	for (unsigned i = 0; i < l->vm_count; i++)
		if (l->vm[i] >= 0)
			close(l->vm[i]);
	if (l->kernel >= 0)
		close(l->kernel);
	if (l->events >= 0)
		close(l->events);
}

// A full disk is told once and does not end the run.
static void put(int *fd, const void *bytes, size_t n)
{
	if (*fd < 0 || write_all(*fd, bytes, n) == 0)
		return;
	complain("a log file cannot be written any more: %s", strerror(errno));
	close(*fd);
	*fd = -1;
}

void logs_kernel(struct logs *l, const uint8_t *bytes, size_t n)
{
	size_t keep, take = n < LOGS_TAIL ? n : LOGS_TAIL;

	put(&l->kernel, bytes, n);
	keep = l->tail_length < LOGS_TAIL - take ? l->tail_length : LOGS_TAIL - take;
	memmove(l->tail, l->tail + l->tail_length - keep, keep);
	memcpy(l->tail + keep, bytes + n - take, take);
	l->tail_length = keep + take;
}

void logs_vm(struct logs *l, unsigned vm, const uint8_t *bytes, size_t n)
{
	if (vm < l->vm_count)
		put(&l->vm[vm], bytes, n);
}

void logs_event(struct logs *l, const char *event)
{
	int64_t ms = clock_ms() - l->start;
	char *line = print_text("%lld.%03d %s\n", (long long)(ms / 1000), (int)(ms % 1000), event);

	put(&l->events, line, strlen(line));
	free(line);
}
