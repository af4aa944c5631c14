// SPDX-License-Identifier: MIT
// Images of the boot bundle as files of the root VM. A file comes to its name when it is whole, so whoever finds it may use it.
#include "backend/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/say.h"

#define PATH 256u

static bool is_zero(const u8 *bytes, size_t n)
{
	return !bytes[0] && !memcmp(bytes, bytes + 1, n - 1);
}

// Zeros become holes, which take no memory.
static int copy(struct link *l, unsigned line, int to)
{
	u8 piece[PAGE_SIZE];
	u64 at = 0;
	int n;

	while ((n = link_file(l, line, at, piece, sizeof(piece))) > 0) {
		if (!is_zero(piece, (size_t)n) && pwrite(to, piece, (size_t)n, (off_t)at) != n)
			return errno ? -errno : -EIO;
		at += (u64)n;
	}
	if (n < 0)
		return n;
	return ftruncate(to, (off_t)at) ? -errno : 0;
}

static int make(struct link *l, unsigned number, unsigned line, const char *path)
{
	char temporary[PATH + 8];
	int fd, err;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	unlink(temporary);
	fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		say("disk %u: %s: %s", number, temporary, strerror(errno));
		return -1;
	}
	errno = 0;
	err = copy(l, line, fd);
	if (!err && rename(temporary, path))
		err = -errno;
	if (!err)
		return fd;
	say("disk %u: its image cannot be copied to %s: %s", number, path, strerror(-err));
	close(fd);
	unlink(temporary);
	return -1;
}

// The back-end of an earlier VM of that name may still be about to end.
static bool own(int fd)
{
	for (unsigned i = 0; i < 200; i++) {
		if (!flock(fd, LOCK_EX | LOCK_NB))
			return true;
		usleep(10000);
	}
	return false;
}

int disk_open_image(struct link *l, const char *run, const char *vm, unsigned number, unsigned line,
	const struct disk_line *d, bool waiting)
{
	bool anew = waiting && d->mode == BUNDLE_DISK_SNAPSHOT;
	char path[PATH];
	int fd;

	snprintf(path, sizeof(path), "%s/%s-disk%u.img", run, vm, number);
	if (mkdir(run, 0755) && errno != EEXIST) {
		say("disk %u: %s: %s", number, run, strerror(errno));
		return -1;
	}
	fd = anew ? -1 : open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 && (anew || errno == ENOENT) && (waiting || d->mode == BUNDLE_DISK_RO))
		fd = make(l, number, line, path);
	else if (fd < 0)
		say("disk %u: %s, which the VM has written to: %s", number, path, strerror(errno));
	if (fd >= 0 && !own(fd)) {
		say("disk %u: %s is used by another process", number, path);
		close(fd);
		return -1;
	}
	return fd;
}
