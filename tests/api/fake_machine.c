// SPDX-License-Identifier: MIT
// The machine that test_api.py gives mezzd: what common/device.h and mezzd/network.h tell, without a kernel of Mezzanine. The VMs
// stand in the file $MEZZ_FAKE, so that they outlive mezzd as real ones do.
//
// A VM runs when $MEZZ_FAKE.NAME is there, which the script that plays its back-end makes. Its guest obeys the power button unless
// its name begins with "deaf"; what is typed to it, it says.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "common/device.h"
#include "common/util.h"
#include "mezzd/network.h"

#define VMS     32
#define CONSOLE 2048

struct fake_vm {
	bool used;
	struct mezz_vm vm;
	char line[128]; // the first about disks and cards
	char console[CONSOLE];
	uint32_t said;
};

static struct fake {
	uint32_t next;
	struct fake_vm vms[VMS];
} * fake;

static struct fake_vm *find(uint64_t id)
{
	for (size_t i = 0; i < VMS; i++)
		if (fake->vms[i].used && fake->vms[i].vm.id == id)
			return &fake->vms[i];
	return NULL;
}

static struct fake_vm *add(const char *name, uint32_t state)
{
	for (size_t i = 0; i < VMS; i++) {
		struct fake_vm *v = &fake->vms[i];

		if (v->used)
			continue;
		*v = (struct fake_vm){.used = true,
			.vm = {.id = fake->next++,
				.state = state,
				.vcpus = 1,
				.weight = 256,
				.memory = 64 << 20}};
		snprintf(v->vm.name, sizeof(v->vm.name), "%s", name);
		return v;
	}
	return NULL;
}

static char *mark_of(const struct fake_vm *v)
{
	return print_text("%s.%s", getenv("MEZZ_FAKE"), v->vm.name);
}

static void end(struct fake_vm *v)
{
	char *mark = mark_of(v);

	unlink(mark);
	free(mark);
	v->used = false;
}

// Its back-end has added its devices.
static void look(struct fake_vm *v)
{
	char *mark = mark_of(v);

	if (v->vm.state == MEZZ_VM_WAITING && access(mark, F_OK) == 0)
		v->vm.state = MEZZ_VM_RUNNING;
	free(mark);
}

bool device_open(void)
{
	int fd = open(getenv("MEZZ_FAKE"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, sizeof(*fake)) != 0)
		return false;
	fake = mmap(NULL, sizeof(*fake), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (fake == MAP_FAILED)
		return false;
	if (!fake->next) {
		add("root", MEZZ_VM_RUNNING)->vm.is_root = 1;
		add("boot", MEZZ_VM_RUNNING); // of the boot bundle
	}
	return true;
}

int device_descriptor(void)
{
	return -1;
}

bool device_host(struct mezz_host *h)
{
	*h = (struct mezz_host){.model = "micro",
		.cpus = 2,
		.vm_cpus = 2,
		.memory = 2ull << 30,
		.free_memory = 1ull << 30,
		.uptime = 5};
	return true;
}

bool device_vm(uint64_t from, struct mezz_vm *vm, bool *found)
{
	struct fake_vm *best = NULL;

	for (size_t i = 0; i < VMS; i++) {
		struct fake_vm *v = &fake->vms[i];

		if (v->used && v->vm.id >= from && (!best || v->vm.id < best->vm.id))
			best = v;
	}
	*found = best != NULL;
	if (best) {
		look(best);
		*vm = best->vm;
	}
	return true;
}

struct mezz_vm *device_vms(size_t *count)
{
	struct mezz_vm *vms = allocate((VMS + 1) * sizeof(*vms));
	bool found = true;

	for (*count = 0;; ++*count) {
		device_vm(*count ? vms[*count - 1].id + 1 : 0, &vms[*count], &found);
		if (!found)
			return vms;
	}
}

int device_vm_do(uint64_t id, enum mezz_vm_op op)
{
	struct fake_vm *v = find(id);

	if (!v)
		return -ENOENT;
	if (v->vm.is_root)
		return -EPERM;
	if (op == MEZZ_VM_STOP || (op == MEZZ_VM_SHUTDOWN && strncmp(v->vm.name, "deaf", 4) != 0))
		end(v);
	else if (op == MEZZ_VM_PAUSE)
		v->vm.state = MEZZ_VM_PAUSED;
	else if (op == MEZZ_VM_RESUME || op == MEZZ_VM_START)
		v->vm.state = MEZZ_VM_RUNNING;
	return 0;
}

int device_vm_line(uint64_t id, unsigned n, char *line, size_t size)
{
	struct fake_vm *v = find(id);

	if (!v || n || !*v->line)
		return -ENOENT;
	return snprintf(line, size, "%s", v->line);
}

// The value of a line of the bundle's configuration, cut to size.
static bool value_of(const char *bundle, size_t bytes, const char *key, char *out, size_t size)
{
	const char *at = memmem(bundle, bytes, key, strlen(key));

	if (!at)
		return false;
	at += strlen(key);
	snprintf(out, size, "%.*s", (int)strcspn(at, "\n"), at);
	return true;
}

int64_t device_create(const void *bundle, size_t size, char *message, size_t message_size)
{
	char name[MEZZ_NAME_SIZE], memory[32], line[100];
	struct fake_vm *v;

	message[0] = 0;
	if (!value_of(bundle, size, "\nvm ", name, sizeof(name)) ||
		!value_of(bundle, size, "\nmemory ", memory, sizeof(memory)))
		return -EINVAL;
	if (strcmp(name, "broken") == 0) {
		snprintf(message, message_size, "the kernel file is no kernel");
		return -EINVAL;
	}
	v = add(name, MEZZ_VM_WAITING);
	if (!v)
		return -ENOMEM;
	v->vm.memory = strtoull(memory, NULL, 10);
	if (value_of(bundle, size, "\ndisk ", line, sizeof(line)))
		snprintf(v->line, sizeof(v->line), "disk %s", line);
	v->said = (uint32_t)snprintf(v->console, CONSOLE, "%s is here\r\n", name);
	return v->vm.id;
}

int device_console_read(uint64_t id, uint64_t position, struct mezz_log *log)
{
	struct fake_vm *v = find(id);

	memset(log, 0, sizeof(*log));
	if (!v)
		return -ENOENT;
	if (position > v->said)
		position = v->said;
	log->size = v->said - (uint32_t)position;
	log->position = v->said;
	memcpy(log->text, v->console + position, log->size);
	return (int)log->size;
}

int device_console_write(uint64_t id, const void *bytes, size_t size)
{
	struct fake_vm *v = find(id);
	size_t n;

	if (!v)
		return -ENOENT;
	n = size < CONSOLE - v->said ? size : CONSOLE - v->said;
	memcpy(v->console + v->said, bytes, n);
	v->said += (uint32_t)n;
	return (int)n;
}

void network_without_vlans(void) {}

bool network_plug_vm(uint32_t vm, const char *name)
{
	(void)vm, (void)name;
	return true;
}

void network_keep(const uint32_t *vms, size_t count)
{
	(void)vms, (void)count;
}
