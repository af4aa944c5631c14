// SPDX-License-Identifier: MIT
// The kernel of Mezzanine through /dev/mezz: two open files, one that may make devices and start the VM, and one that is attached
// and may serve it. The first is closed before the guest is listened to.
#include "backend/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

struct link {
	int control;  // -1: given up
	int attached; // -1: not yet
	u32 id;
};

static int call(int fd, enum mezz_call nr, u64 a0, u64 a1, const void *buffer, size_t size)
{
	struct mezz_ioctl c = {nr, {a0, a1}, (uintptr_t)buffer, size};
	int result = ioctl(fd, MEZZ_IOCTL, &c);

	return result < 0 ? -errno : result;
}

static int device_open(void)
{
	return open(MEZZ_DEVICE, O_RDWR | O_CLOEXEC);
}

struct link *link_open(const char **why)
{
	struct link *l = calloc(1, sizeof(*l));

	*why = "out of memory";
	if (!l)
		return NULL;
	l->attached = -1;
	l->control = device_open();
	if (l->control >= 0)
		return l;
	*why = errno == ENOENT ? MEZZ_DEVICE
		       " is not there: expected to run in the root VM, with the module `mezz` loaded"
			       : MEZZ_DEVICE " cannot be opened: expected to run as root";
	free(l);
	return NULL;
}

void link_close(struct link *l)
{
	link_confine(l);
	if (l->attached >= 0)
		close(l->attached);
	free(l);
}

int link_find(struct link *l, const char *name, struct mezz_vm *vm)
{
	u64 from = 0;
	int result;

	for (;;) {
		memset(vm, 0, sizeof(*vm));
		result = call(l->control, MEZZ_CALL_VM, from, 0, vm, sizeof(*vm));
		if (result < 0)
			return result;
		vm->name[sizeof(vm->name) - 1] = 0;
		if (strcmp(vm->name, name) == 0)
			break;
		from = (u64)vm->id + 1;
	}
	l->id = vm->id;
	return 0;
}

int link_look(struct link *l, struct mezz_vm *vm)
{
	int result;

	memset(vm, 0, sizeof(*vm));
	result = call(l->control, MEZZ_CALL_VM, l->id, 0, vm, sizeof(*vm));
	if (result < 0)
		return result;
	return vm->id == l->id ? 0 : -ENOENT;
}

int link_attach(struct link *l, int events)
{
	struct mezz_attach a = {.vm = l->id, .events = events};
	int fd = device_open(), err;

	if (fd < 0)
		return -errno;
	if (!ioctl(fd, MEZZ_ATTACH, &a)) {
		l->attached = fd;
		return 0;
	}
	err = -errno;
	close(fd);
	return err;
}

int link_fd(const struct link *l)
{
	return l->attached;
}

static void *map(struct link *l, u64 size, u64 offset)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, l->attached, (off_t)offset);

	return p == MAP_FAILED ? NULL : p;
}

void *link_map_memory(struct link *l, u64 size)
{
	return map(l, size, 0);
}

void *link_map_state(struct link *l)
{
	return map(l, MEZZ_STATE_SIZE, MEZZ_MAP_STATE);
}

struct mezz_firmware *link_map_firmware(struct link *l)
{
	return map(l, MEZZ_FIRMWARE_SIZE, MEZZ_MAP_FIRMWARE);
}

int link_state(struct link *l, unsigned slot, struct mezz_device_state *s)
{
	memset(s, 0, sizeof(*s));
	return call(
		l->attached, MEZZ_CALL_DEVICE_STATE, MEZZ_DEVICE_OF(l->id, slot), 0, s, sizeof(*s));
}

int link_interrupt(struct link *l, unsigned slot, u64 queues)
{
	return call(l->attached, MEZZ_CALL_DEVICE_INTERRUPT, MEZZ_DEVICE_OF(l->id, slot), queues,
		NULL, 0);
}

int link_do(struct link *l, unsigned slot, enum mezz_device_op op)
{
	return call(l->attached, MEZZ_CALL_DEVICE_DO, MEZZ_DEVICE_OF(l->id, slot), op, NULL, 0);
}

int link_config(struct link *l, unsigned slot, const void *config, size_t size)
{
	return call(
		l->attached, MEZZ_CALL_DEVICE_CONFIG, MEZZ_DEVICE_OF(l->id, slot), 0, config, size);
}

int link_line(struct link *l, unsigned n, char *text, size_t size)
{
	memset(text, 0, size);
	return call(l->control, MEZZ_CALL_VM_LINE, l->id, n, text, size - 1);
}

int link_file(struct link *l, unsigned line, u64 offset, void *to, size_t size)
{
	return call(l->control, MEZZ_CALL_VM_FILE, l->id | (u64)line << 32, offset, to, size);
}

int link_add(struct link *l, const struct mezz_device *d)
{
	return call(l->control, MEZZ_CALL_DEVICE_ADD, l->id, 0, d, sizeof(*d));
}

int link_start(struct link *l)
{
	return call(l->control, MEZZ_CALL_VM_DO, l->id, MEZZ_VM_START, NULL, 0);
}

void link_confine(struct link *l)
{
	if (l->control >= 0)
		close(l->control);
	l->control = -1;
}
