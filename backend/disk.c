// SPDX-License-Identifier: MIT
// Disks and partitions of the root VM.
//
// The root VM may have no udev, so a PARTUUID is looked for in the tables of partitions themselves when there is no link.
#include "backend/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backend/say.h"
#include "storage/gpt.h"

#define CLASS "/sys/class/block"

// ---------------------------------------------------------------- by PARTUUID

struct table {
	struct gpt gpt;
	int fd;
};

static int block_read(void *arg, u64 block, void *to)
{
	struct table *t = arg;
	ssize_t n = pread(t->fd, to, t->gpt.block_size, (off_t)(block * t->gpt.block_size));

	return n == (ssize_t)t->gpt.block_size ? 0 : -EIO;
}

static bool table_read(struct table *t)
{
	const char *why;
	u64 bytes = 0;
	int block = 0;

	if (ioctl(t->fd, BLKGETSIZE64, &bytes) || ioctl(t->fd, BLKSSZGET, &block))
		return false;
	if (block < 512 || block > GPT_BLOCK_MAX)
		return false;
	t->gpt.read = block_read;
	t->gpt.arg = t;
	t->gpt.block_size = (u32)block;
	t->gpt.blocks = bytes / (u32)block;
	return gpt_read(&t->gpt, &why);
}

// The number of the partition in the disk's table; 0: it has none such.
static unsigned partition_of(const char *disk, const char *partuuid)
{
	struct table *t = calloc(1, sizeof(*t));
	char path[64], text[37];
	unsigned number = 0;

	if (!t)
		return 0;
	snprintf(path, sizeof(path), "/dev/%.40s", disk);
	t->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (t->fd >= 0 && table_read(t)) {
		for (unsigned i = 0; i < t->gpt.count; i++) {
			gpt_uuid_text(t->gpt.partitions[i].uuid, text);
			if (strcmp(text, partuuid) == 0)
				number = t->gpt.partitions[i].number;
		}
	}
	if (t->fd >= 0)
		close(t->fd);
	free(t);
	return number;
}

// The number of a partition that the kernel has, from its folder; 0: it is a whole disk.
static unsigned partition_number(const char *folder)
{
	char path[512];
	unsigned n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/partition", folder);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%u", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

// The kernel's name of the disk's n-th partition.
static bool partition_name(const char *disk, unsigned n, char *name, size_t size)
{
	char folder[512];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(folder, sizeof(folder), CLASS "/%.40s", disk);
	d = opendir(folder);
	while (d && !found && (e = readdir(d))) {
		if (e->d_name[0] == '.' || strlen(e->d_name) >= size)
			continue;
		snprintf(folder, sizeof(folder), CLASS "/%.40s/%.255s", disk, e->d_name);
		found = partition_number(folder) == n;
		if (found)
			strcpy(name, e->d_name);
	}
	if (d)
		closedir(d);
	return found;
}

bool disk_find(const char *partuuid, char *name, size_t size)
{
	struct dirent *e;
	bool found = false;
	DIR *d = opendir(CLASS);

	while (d && !found && (e = readdir(d))) {
		char folder[512];
		unsigned n;

		snprintf(folder, sizeof(folder), CLASS "/%.255s", e->d_name);
		if (e->d_name[0] == '.' || partition_number(folder))
			continue;
		n = partition_of(e->d_name, partuuid);
		found = n && partition_name(e->d_name, n, name, size);
	}
	if (d)
		closedir(d);
	return found;
}

// ---------------------------------------------------------------- by serial number

// What the file holds from `from` on, without spaces around it.
static bool read_words(const char *path, size_t from, char *text, size_t size)
{
	char all[256], *start = all + from;
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(all, 1, sizeof(all) - 1, f) : 0;

	if (f)
		fclose(f);
	if (n <= from)
		return false;
	while (n > from && (all[n - 1] == ' ' || all[n - 1] == '\n' || !all[n - 1]))
		n--;
	all[n] = 0;
	start += strspn(start, " ");
	snprintf(text, size, "%s", start);
	return true;
}

// Where Linux's drivers of NVMe, virtio and SCSI (with SATA) show it; the last as the page of its inquiry, whose header is 4 bytes.
static bool serial_is(const char *disk, const char *serial)
{
	static const struct {
		const char *file;
		size_t from;
	} places[] = {{"device/serial", 0}, {"serial", 0}, {"device/vpd_pg80", 4}};
	char path[512], text[64];

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		snprintf(path, sizeof(path), CLASS "/%.255s/%s", disk, places[i].file);
		if (read_words(path, places[i].from, text, sizeof(text)))
			return strcmp(text, serial) == 0;
	}
	return false;
}

// A whole disk, if no other one has that serial number.
static bool find_serial(const char *serial, char *name, size_t size)
{
	unsigned found = 0;
	struct dirent *e;
	DIR *d = opendir(CLASS);

	while (d && (e = readdir(d))) {
		char folder[512];

		snprintf(folder, sizeof(folder), CLASS "/%.255s", e->d_name);
		if (e->d_name[0] == '.' || strlen(e->d_name) >= size || partition_number(folder) ||
			!serial_is(e->d_name, serial))
			continue;
		strcpy(name, e->d_name);
		found++;
	}
	if (d)
		closedir(d);
	return found == 1;
}

// ---------------------------------------------------------------- opening

static bool exists(const char *folder, const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", folder, name);
	return access(path, F_OK) == 0;
}

// A name has no folder in it.
static bool path_of(const char *name, char *path, size_t size)
{
	char found[40];

	if (strchr(name, '/') || name[0] == '.')
		return false;
	if (exists("/dev", name, path, size) || exists("/dev/disk/by-partuuid", name, path, size))
		return true;
	return (disk_find(name, found, sizeof(found)) || find_serial(name, found, sizeof(found))) &&
	       exists("/dev", found, path, size);
}

int disk_open_device(const char *what, const char *device, bool write, bool *busy)
{
	char path[96];
	int fd;

	*busy = false;
	if (!path_of(device, path, sizeof(path))) {
		say("%s: the root VM has no disk or partition %s", what, device);
		return -1;
	}
	fd = open(path, (write ? O_RDWR | O_EXCL : O_RDONLY) | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	*busy = errno == EBUSY;
	if (!*busy)
		say("%s: %s: %s", what, path, strerror(errno));
	return -1;
}
