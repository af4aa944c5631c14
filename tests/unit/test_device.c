// SPDX-License-Identifier: MIT
// What programs of the root VM make of /dev/mezz's answers. The device is played: it copies a call's buffer in and out, as the module
// does, and gives texts as the kernel does, without an end.
// link: common/util.c
#include "tests/unit/test.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#define ioctl played_ioctl
static int played_ioctl(int fd, unsigned long request, ...);
#include "common/device.c"

static const char *line = "nic lan 0 52:54:00:00:00:01 10000 0";

static int played_ioctl(int fd, unsigned long request, ...)
{
	struct mezz_ioctl *c;
	size_t length = strlen(line);
	va_list list;

	va_start(list, request);
	c = va_arg(list, struct mezz_ioctl *);
	va_end(list);
	(void)fd;
	if (request != MEZZ_IOCTL || c->call != MEZZ_CALL_VM_LINE || c->argument[1]) {
		errno = ENOENT;
		return -1;
	}
	length = length < c->size ? length : c->size;
	memcpy((void *)(uintptr_t)c->buffer, line, length);
	return (int)length;
}

// What was in the buffer before is no part of the line.
TEST(line_ends)
{
	char text[64];

	memset(text, '7', sizeof(text));
	CHECK_EQ(device_vm_line(1, 0, text, sizeof(text)), strlen(line));
	CHECK(strcmp(text, line) == 0);
}

TEST(line_is_cut)
{
	char text[8];

	memset(text, '7', sizeof(text));
	CHECK_EQ(device_vm_line(1, 0, text, sizeof(text)), sizeof(text) - 1);
	CHECK(strcmp(text, "nic lan") == 0);
}

TEST(no_line)
{
	char text[8];

	CHECK_EQ(device_vm_line(1, 1, text, sizeof(text)), -ENOENT);
	CHECK(!text[0]);
}

TEST_MAIN()
