// SPDX-License-Identifier: MIT
#include "common/device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "abi/dev_mezz.h"
#include "common/util.h"

static int device = -1;

bool device_open(void)
{
	device = open(MEZZ_DEVICE, O_RDWR | O_CLOEXEC);
	if (device >= 0)
		return true;
	if (errno == ENOENT)
		complain(
			"%s is not there: expected to run in the root VM, with the module `mezz` loaded",
			MEZZ_DEVICE);
	else
		complain("%s: %s", MEZZ_DEVICE, strerror(errno));
	return false;
}

int device_descriptor(void)
{
	return device;
}

// What the call returned, or -errno.
static int call(enum mezz_call nr, uint64_t a0, uint64_t a1, void *buffer, size_t size)
{
	struct mezz_ioctl c = {nr, {a0, a1}, (uintptr_t)buffer, size};
	int result = ioctl(device, MEZZ_IOCTL, &c);

	return result < 0 ? -errno : result;
}

static bool told(int result)
{
	if (result >= 0)
		return true;
	complain("the kernel of Mezzanine refused: %s", strerror(-result));
	return false;
}

bool device_host(struct mezz_host *h)
{
	memset(h, 0, sizeof(*h));
	return told(call(MEZZ_CALL_HOST, 0, 0, h, sizeof(*h)));
}

bool device_vm(uint64_t from, struct mezz_vm *vm, bool *found)
{
	int result;

	memset(vm, 0, sizeof(*vm));
	result = call(MEZZ_CALL_VM, from, 0, vm, sizeof(*vm));
	*found = result >= 0;
	vm->name[sizeof(vm->name) - 1] = 0;
	if (vm->causes > MEZZ_CAUSES)
		vm->causes = MEZZ_CAUSES;
	return result == -ENOENT || told(result);
}

int device_vm_do(uint64_t id, enum mezz_vm_op op)
{
	return call(MEZZ_CALL_VM_DO, id, op, NULL, 0);
}

bool device_log(uint64_t position, struct mezz_log *log)
{
	memset(log, 0, sizeof(*log));
	return told(call(MEZZ_CALL_LOG, position, 0, log, sizeof(*log)));
}

int device_vm_line(uint64_t id, unsigned n, char *line, size_t size)
{
	memset(line, 0, size); // the kernel gives the text and no end
	return call(MEZZ_CALL_VM_LINE, id, n, line, size - 1);
}

int64_t device_create(const void *bundle, size_t size, char *message, size_t message_size)
{
	struct mezz_create c = {(uintptr_t)bundle, size, (uintptr_t)message, message_size};
	int result;

	if (message_size)
		message[0] = 0;
	result = ioctl(device, MEZZ_CREATE, &c);
	return result < 0 ? -errno : result;
}

int device_console_read(uint64_t id, uint64_t position, struct mezz_log *log)
{
	int result;

	memset(log, 0, sizeof(*log));
	result = call(MEZZ_CALL_CONSOLE_READ, id, position, log, sizeof(*log));
	if (log->size > sizeof(log->text))
		log->size = 0;
	return result;
}

int device_console_write(uint64_t id, const void *p, size_t n)
{
	uint8_t page[4096];

	if (!n)
		return 0;
	n = n < sizeof(page) ? n : sizeof(page);
	memcpy(page, p, n); // as the call copies it out again
	return call(MEZZ_CALL_CONSOLE_WRITE, id, 0, page, n);
}

struct mezz_vm *device_vms(size_t *count)
{
	struct mezz_vm *vms = allocate(sizeof(*vms));
	bool found = true;

	for (*count = 0;; ++*count) {
		vms = reallocate(vms, (*count + 1) * sizeof(*vms));
		if (!device_vm(*count ? vms[*count - 1].id + 1 : 0, &vms[*count], &found)) {
			free(vms);
			return NULL;
		}
		if (!found)
			return vms;
	}
}

static bool is_named(const struct mezz_vm *vm, const char *word)
{
	char number[12];

	snprintf(number, sizeof(number), "%u", vm->id);
	return strcmp(vm->name, word) == 0 || strcmp(number, word) == 0;
}

bool device_find(const char *word, struct mezz_vm *vm)
{
	bool found = true;

	for (uint64_t from = 0; found; from = vm->id + 1) {
		if (!device_vm(from, vm, &found))
			return false;
		if (found && is_named(vm, word))
			return true;
	}
	complain("no VM '%s' runs; `mezz vm list` shows those that do", word);
	return false;
}
