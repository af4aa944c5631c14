// SPDX-License-Identifier: MIT
// A device's host in a process: memory, log, random bytes, and what this host does not have.
#include "devices/host_linux/host_linux.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define LINES_BURST 64u
#define LINES_RATE  1u // a second

u64 host_linux_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

void host_linux_init(struct host *h, const char *name)
{
	*h = (struct host){.name = name};
	net_bucket_init(&h->lines, LINES_RATE, LINES_BURST, host_linux_now());
}

// ---------------------------------------------------------------- memory

void *host_guest_ptr(struct host *h, u64 gpa, size_t len)
{
	if (len > PAGE_SIZE - gpa % PAGE_SIZE || !host_linux_is_ram(h, gpa, len))
		return NULL;
	return h->memory + gpa;
}

bool host_guest_read(struct host *h, u64 gpa, void *to, size_t len)
{
	if (!len)
		return true;
	if (!host_linux_is_ram(h, gpa, len))
		return false;
	memcpy(to, h->memory + gpa, len);
	return true;
}

bool host_guest_write(struct host *h, u64 gpa, const void *from, size_t len)
{
	if (!len)
		return true;
	if (!host_linux_is_ram(h, gpa, len))
		return false;
	memcpy(h->memory + gpa, from, len);
	return true;
}

// ---------------------------------------------------------------- log, random bytes

void host_log(struct host *h, const char *fmt, ...)
{
	char text[256];
	va_list args;

	if (!net_bucket_take(&h->lines, 1, host_linux_now())) {
		h->silent++;
		return;
	}
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (h->silent)
		fprintf(stderr, "mezz-backend: %s: %s (and %llu more before)\n", h->name, text,
			(unsigned long long)h->silent);
	else
		fprintf(stderr, "mezz-backend: %s: %s\n", h->name, text);
	h->silent = 0;
}

void host_random(struct host *h, void *to, size_t n)
{
	(void)h;
	for (size_t done = 0; done < n;) {
		ssize_t got = getrandom((u8 *)to + done, n - done, 0);

		if (got > 0)
			done += (size_t)got;
	}
}

// ---------------------------------------------------------------- what there is not

// Interrupts of PCI functions, and the console, are the kernel's; no device here has such a transport.
void host_msi(struct host *h, u64 addr, u32 data)
{
	(void)h;
	(void)addr;
	(void)data;
}

void host_intx(struct host *h, unsigned slot, bool level)
{
	(void)h;
	(void)slot;
	(void)level;
}

size_t host_console_write(struct host *h, const u8 *bytes, size_t len)
{
	(void)h;
	(void)bytes;
	return len;
}

void host_console_room(struct host *h)
{
	(void)h;
}

// A process is not told when a vcpu sleeps.
void host_rest_set(struct host *h, struct host_rest *r, bool on)
{
	(void)h;
	r->on = on;
}
