// SPDX-License-Identifier: MIT
// In the root VM of the test `create` (create.py): makes VMs of bundles, looks at their consoles and types there, through the functions
// that mezzd uses. What it prints is one line for each order.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/device.h"
#include "common/util.h"

static void *load(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st)) {
		perror(path);
		exit(1);
	}
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		exit(1);
	close(fd);
	*size = (size_t)st.st_size;
	return p;
}

static int make(const char *path, size_t cut)
{
	char message[MEZZ_MESSAGE_MAX];
	size_t size;
	void *bundle = load(path, &size);
	int64_t id = device_create(bundle, cut ? cut : size, message, sizeof(message));

	if (id < 0)
		printf("error %s: %s\n", strerror((int)-id), message);
	else
		printf("made %d\n", (int)id);
	return 0;
}

static unsigned times(const char *in, const char *text)
{
	unsigned n = 0;

	for (; (in = strstr(in, text)); in += strlen(text))
		n++;
	return n;
}

// Until the text has been said so many times.
static int watch(uint64_t id, const char *text, unsigned count)
{
	static char said[1 << 20];
	static struct mezz_log log;
	size_t n = 0;

	for (unsigned tries = 0; tries < 1800; tries++) {
		int got = device_console_read(id, log.position, &log);

		if (got < 0) {
			printf("error %s\n", strerror(-got));
			return 1;
		}
		if (n + (size_t)got >= sizeof(said))
			break;
		memcpy(said + n, log.text, (size_t)got);
		n += (size_t)got;
		if (times(said, text) >= count) {
			puts("seen");
			return 0;
		}
		if (!got)
			usleep(50000);
	}
	puts("not seen");
	return 1;
}

static int type(uint64_t id, const char *text)
{
	size_t done = 0, size = strlen(text);

	while (done < size) {
		int n = device_console_write(id, text + done, size - done);

		if (n < 0) {
			printf("error %s\n", strerror(-n));
			return 1;
		}
		done += (size_t)n;
		if (!n)
			usleep(20000);
	}
	puts("typed");
	return 0;
}

// Waits until nothing of the VM is left.
static bool gone(uint64_t id)
{
	struct mezz_vm vm = {.id = 0};
	bool found = true;

	for (unsigned tries = 0; tries < 5000; tries++) {
		if (!device_vm(id, &vm, &found))
			return false;
		if (!found || vm.id != id)
			return true;
		usleep(1000);
	}
	return false;
}

static int many(const char *path, unsigned count)
{
	size_t size;
	void *bundle = load(path, &size);

	for (unsigned i = 0; i < count; i++) {
		char message[MEZZ_MESSAGE_MAX];
		int64_t id = device_create(bundle, size, message, sizeof(message));

		if (id < 0) {
			printf("error %s: %s, after %u\n", strerror((int)-id), message, i);
			return 1;
		}
		if ((i & 1 && device_vm_do((uint64_t)id, MEZZ_VM_START)) ||
			(device_vm_do((uint64_t)id, MEZZ_VM_STOP) && !(i & 1)) ||
			!gone((uint64_t)id)) {
			printf("VM %d does not end\n", (int)id);
			return 1;
		}
	}
	printf("made and ended %u\n", count);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	uint64_t id = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;

	if (!device_open())
		return 1;
	if (!strcmp(what, "make"))
		return make(argv[2], argc > 3 ? strtoul(argv[3], NULL, 10) : 0);
	if (!strcmp(what, "start"))
		return device_vm_do(id, MEZZ_VM_START) != 0;
	if (!strcmp(what, "gone"))
		return !gone(id);
	if (!strcmp(what, "watch") && argc > 4)
		return watch(id, argv[3], (unsigned)atoi(argv[4]));
	if (!strcmp(what, "type") && argc > 3)
		return type(id, argv[3]);
	if (!strcmp(what, "many") && argc > 3)
		return many(argv[2], (unsigned)atoi(argv[3]));
	return 2;
}
