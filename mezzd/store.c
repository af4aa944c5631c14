// SPDX-License-Identifier: MIT
#include "mezzd/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "common/util.h"
#include "mezzd/state.h"

#define SUFFIX ".json"
#define HALF   ".new" // of a file that is being written

// The part of the name before the suffix, as long as that; 0: it has another.
static size_t stem(const char *file, const char *suffix)
{
	size_t length = strlen(file), tail = strlen(suffix);

	return length > tail && strcmp(file + length - tail, suffix) == 0 ? length - tail : 0;
}

static void remove_half(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *entry;

	while (d && (entry = readdir(d)))
		if (stem(entry->d_name, HALF))
			unlinkat(dirfd(d), entry->d_name, 0);
	if (d)
		closedir(d);
}

// The folders above it, too.
static bool make_parents(const char *folder)
{
	char *path = copy_text(folder, strlen(folder));
	bool ok = true;

	for (char *p = strchr(path + 1, '/'); ok && p; p = strchr(p + 1, '/')) {
		*p = 0;
		ok = mkdir(path, 0755) == 0 || errno == EEXIST;
		if (!ok)
			complain("%s: %s", path, strerror(errno));
		*p = '/';
	}
	free(path);
	return ok;
}

bool store_open(const char *folder)
{
	if (!make_parents(folder) || !state_folder(folder))
		return false;
	remove_half(folder);
	return true;
}

static int sync_folder(int folder)
{
	return fsync(folder) == 0 ? 0 : -errno;
}

static int write_synced(int folder, const char *file, const char *text, size_t size)
{
	int fd = openat(folder, file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (write_all(fd, text, size) != 0 || fsync(fd) != 0)
		error = -errno;
	close(fd);
	return error;
}

static int open_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int store_put(const char *folder, const char *name, const char *text, size_t size)
{
	int fd = open_folder(folder), error;
	char *file = print_text("%s" SUFFIX, name), *half = print_text("%s" SUFFIX HALF, name);

	error = fd < 0 ? fd : write_synced(fd, half, text, size);
	if (!error && renameat(fd, half, fd, file) != 0)
		error = -errno;
	if (!error)
		error = sync_folder(fd);
	else if (fd >= 0)
		unlinkat(fd, half, 0);
	if (fd >= 0)
		close(fd);
	free(file);
	free(half);
	return error;
}

int store_remove(const char *folder, const char *name)
{
	int fd = open_folder(folder), error = 0;
	char *file = print_text("%s" SUFFIX, name);

	if (fd < 0)
		error = fd;
	else if (unlinkat(fd, file, 0) != 0 && errno != ENOENT)
		error = -errno;
	else
		error = sync_folder(fd);
	if (fd >= 0)
		close(fd);
	free(file);
	return error;
}

// The text, or NULL with errno.
static char *read_file(int folder, const char *file, size_t max, size_t *size)
{
	int fd = openat(folder, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), error = 0;
	char *text = allocate(max + 2);
	ssize_t n = 0;

	*size = 0;
	if (fd < 0)
		error = errno;
	while (!error && *size <= max && (n = read(fd, text + *size, max + 1 - *size)) > 0)
		*size += (size_t)n;
	if (!error && n < 0)
		error = errno;
	if (!error && *size > max)
		error = EFBIG;
	if (fd >= 0)
		close(fd);
	if (!error)
		return text;
	free(text);
	errno = error;
	return NULL;
}

void store_each(const char *folder, size_t max,
	void (*take)(void *owner, const char *name, const char *text, size_t size), void *owner)
{
	DIR *d = opendir(folder);
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		size_t length = stem(entry->d_name, SUFFIX), size;
		char *name, *text;

		if (!length)
			continue;
		name = copy_text(entry->d_name, length);
		text = read_file(dirfd(d), entry->d_name, max, &size);
		if (text)
			take(owner, name, text, size);
		else
			complain("%s/%s: %s; it is left out", folder, entry->d_name,
				strerror(errno));
		free(text);
		free(name);
	}
	if (d)
		closedir(d);
}
