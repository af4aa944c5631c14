// SPDX-License-Identifier: MIT
// Files that appear whole or not at all, and a folder for what is needed for a moment.
#include "common/save.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "common/util.h"

bool save_file(const char *path, bool (*write)(int fd, const void *arg), const void *arg)
{
	mode_t mask = umask(0);
	bool ok = false;
	struct stat st;
	char *temporary;
	int fd;

	umask(mask);
	if (lstat(path, &st) == 0 &&
		!S_ISREG(st.st_mode)) { // a device must not be replaced by a file
		complain("%s: not a regular file", path);
		return false;
	}
	temporary = print_text("%s.XXXXXX", path);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		complain("%s: %s", path, strerror(errno));
	} else if (write(fd, arg)) {
		ok = fchmod(fd, 0666 & ~mask) == 0 && fsync(fd) == 0 &&
		     rename(temporary, path) == 0;
		if (!ok)
			complain("%s: %s", path, strerror(errno));
	}
	if (fd >= 0) {
		close(fd);
		if (!ok)
			unlink(temporary);
	}
	free(temporary);
	return ok;
}

static bool copy_from(int fd, const void *from)
{
	int source = open(from, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (source >= 0) {
		while ((n = sendfile(fd, source, NULL, 1 << 20)) > 0)
			;
		close(source);
	}
	if (n < 0)
		complain("%s: %s", (const char *)from, strerror(errno));
	return n == 0;
}

bool save_copy(const char *from, const char *path)
{
	return save_file(path, copy_from, from);
}

char *scratch_make(void)
{
	const char *base = getenv("TMPDIR");
	char *folder = print_text("%s/mezz.XXXXXX", base && *base ? base : "/tmp");

	if (mkdtemp(folder))
		return folder;
	complain("%s: %s", folder, strerror(errno));
	free(folder);
	return NULL;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

void scratch_remove(const char *folder)
{
	nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
