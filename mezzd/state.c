// SPDX-License-Identifier: MIT
#include "mezzd/state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "common/util.h"

#define LOCK_TRIES                                                                                 \
	100 // one each 10 ms: so long may a child of one that was killed take to its exec

bool state_folder(const char *folder)
{
	struct stat s;

	if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
		complain("%s: %s", folder, strerror(errno));
		return false;
	}
	if (lstat(folder, &s) != 0 || !S_ISDIR(s.st_mode) || s.st_uid != geteuid() ||
		s.st_mode & 022) {
		complain("%s: expected a folder that nobody else may write to", folder);
		return false;
	}
	return true;
}

void state_path(char path[STATE_PATH], const char *folder, const char *name, const char *suffix)
{
	snprintf(path, STATE_PATH, "%s/%s.%s", folder, name, suffix);
}

// Who it is, for the message of another one.
static void sign(int fd)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", getpid());

	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
		complain("the lock cannot be signed: %s", strerror(errno));
}

// The descriptor stays open as long as the process lives.
bool state_lock(const char *folder)
{
	char path[STATE_PATH], owner[16] = "";
	int fd;

	state_path(path, folder, "mezzd", "lock");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		complain("%s: %s", path, strerror(errno));
		return false;
	}
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			sign(fd);
			return true;
		}
		poll(NULL, 0, 10);
	}
	if (pread(fd, owner, sizeof(owner) - 1, 0) < 0)
		owner[0] = 0;
	owner[strcspn(owner, "\n")] = 0;
	complain("another mezzd runs already, process %s: one is expected", owner);
	close(fd);
	return false;
}

int state_write(const char *path, const char *text)
{
	char new[STATE_PATH + 8];
	int fd, error = 0;

	snprintf(new, sizeof(new), "%s.new", path);
	fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (write_all(fd, text, strlen(text)) != 0)
		error = -errno;
	close(fd);
	if (!error && rename(new, path) != 0)
		error = -errno;
	return error;
}

int state_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), error;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, size);
	error = n < 0 ? -errno : (size_t)n == size ? -EFBIG : 0;
	close(fd);
	if (!error)
		text[n] = 0;
	return error;
}
