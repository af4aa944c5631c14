// SPDX-License-Identifier: MIT
// backend/link.h with a kernel of Mezzanine that is played: all that it knows lies in memory that a forked back-end shares with the
// test, so that the back-end can be killed and the test goes on.
//
// Who attaches takes a lock on a file, which is free again when all that had it open has been closed.
#pragma once

#include "backend/link.h"
#include "lib/atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#define FAKE_MEMORY (8 * MiB)
#define FAKE_IMAGE  (4 * MiB)

static struct mezz_firmware *fake_firmware; // NULL: the VM has none

struct fake {
	struct mezz_vm vm;
	char line[8][128]; // an empty one ends them
	u64 interrupts[MEZZ_SLOTS];
	u32 dones[MEZZ_SLOTS], brokens[MEZZ_SLOTS], configs[MEZZ_SLOTS];
	bool there[MEZZ_SLOTS];
	struct mezz_device device[MEZZ_SLOTS];
	struct mezz_device_state state[MEZZ_SLOTS];
	u32 starts, attaches;
	u32 file_fails; // link_file gives so many errors
};

struct link {
	int lock;
	bool control;
};

static struct fake *fake;
static u8 *fake_image; // of every disk line with one
static u8 *fake_memory;
static struct mezz_bells *fake_bells;
static int fake_memory_fd, fake_state_fd, fake_events;
static char fake_lock[] = "/tmp/mezz-fake-XXXXXX";

__attribute__((unused)) static void *fake_map(int fd, u64 size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

__attribute__((unused)) static void fake_create(const char *name)
{
	strcpy(fake_lock, "/tmp/mezz-fake-XXXXXX");
	close(mkstemp(fake_lock));
	fake = fake_map(-1, sizeof(*fake));
	fake_memory_fd = memfd_create("memory", 0);
	fake_state_fd = memfd_create("state", 0);
	fake_events = eventfd(0, EFD_NONBLOCK);
	if (ftruncate(fake_memory_fd, FAKE_MEMORY) || ftruncate(fake_state_fd, MEZZ_STATE_SIZE))
		abort();
	fake_memory = fake_map(fake_memory_fd, FAKE_MEMORY);
	fake_bells = fake_map(fake_state_fd, MEZZ_STATE_SIZE);
	fake_image = calloc(1, FAKE_IMAGE);
	fake->vm = (struct mezz_vm){
		.id = 3, .state = MEZZ_VM_WAITING, .vcpus = 2, .memory = FAKE_MEMORY};
	strcpy(fake->vm.name, name);
}

__attribute__((unused)) static void fake_destroy(void)
{
	munmap(fake_memory, FAKE_MEMORY);
	munmap(fake_bells, MEZZ_STATE_SIZE);
	munmap(fake, sizeof(*fake));
	close(fake_memory_fd);
	close(fake_state_fd);
	close(fake_events);
	free(fake_image);
	unlink(fake_lock);
}

__attribute__((unused)) static void fake_ring(unsigned slot, u64 bits)
{
	u64 one = 1;

	atomic_or(slot ? &fake_bells->device[slot] : &fake_bells->vm, bits);
	if (write(fake_events, &one, sizeof(one)) != sizeof(one))
		abort();
}

// ---------------------------------------------------------------- link.h

struct link *link_open(const char **why)
{
	struct link *l = calloc(1, sizeof(*l));

	*why = NULL;
	l->lock = -1;
	l->control = true;
	return l;
}

void link_close(struct link *l)
{
	if (l->lock >= 0)
		close(l->lock);
	free(l);
}

int link_find(struct link *l, const char *name, struct mezz_vm *vm)
{
	(void)l;
	*vm = fake->vm;
	return strcmp(vm->name, name) ? -ENOENT : 0;
}

int link_look(struct link *l, struct mezz_vm *vm)
{
	(void)l;
	*vm = fake->vm;
	return vm->state == MEZZ_VM_ENDING ? -ENOENT : 0;
}

int link_attach(struct link *l, int events)
{
	int fd = open(fake_lock, O_RDWR | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB)) {
		close(fd);
		return -EBUSY;
	}
	l->lock = fd;
	atomic_add(&fake->attaches, 1);
	return dup2(fake_events, events) < 0 ? -errno : 0;
}

int link_fd(const struct link *l)
{
	return l->lock;
}

void *link_map_memory(struct link *l, u64 size)
{
	(void)l;
	return size == FAKE_MEMORY ? fake_map(fake_memory_fd, size) : NULL;
}

struct mezz_firmware *link_map_firmware(struct link *l)
{
	(void)l;
	return fake_firmware;
}

void *link_map_state(struct link *l)
{
	(void)l;
	return fake_map(fake_state_fd, MEZZ_STATE_SIZE);
}

int link_state(struct link *l, unsigned slot, struct mezz_device_state *s)
{
	(void)l;
	*s = fake->state[slot];
	return fake->there[slot] ? (int)sizeof(*s) : -ENOENT;
}

int link_interrupt(struct link *l, unsigned slot, u64 queues)
{
	(void)l;
	atomic_or(&fake->interrupts[slot], queues);
	return 0;
}

int link_do(struct link *l, unsigned slot, enum mezz_device_op op)
{
	(void)l;
	if (op == MEZZ_DEVICE_BROKEN) {
		fake->brokens[slot]++;
		return 0;
	}
	if (!fake->state[slot].resetting)
		return -EINVAL;
	fake->state[slot].resetting = 0;
	atomic_add(&fake->dones[slot], 1);
	return 0;
}

int link_config(struct link *l, unsigned slot, const void *config, size_t size)
{
	(void)l;
	(void)config;
	atomic_add(&fake->configs[slot], 1);
	return size == fake->device[slot].config_size ? 0 : -EINVAL;
}

int link_line(struct link *l, unsigned n, char *text, size_t size)
{
	if (!l->control || n >= ARRAY_SIZE(fake->line) || !fake->line[n][0])
		return -ENOENT;
	return snprintf(text, size, "%s", fake->line[n]);
}

int link_file(struct link *l, unsigned line, u64 offset, void *to, size_t size)
{
	size_t n = offset < FAKE_IMAGE ? MIN(size, FAKE_IMAGE - offset) : 0;

	if (!l->control || strncmp(fake->line[line], "disk ", 5) != 0)
		return -ENOENT;
	if (fake->file_fails) {
		fake->file_fails--;
		return -EIO;
	}
	memcpy(to, fake_image + offset, n);
	return (int)n;
}

int link_add(struct link *l, const struct mezz_device *d)
{
	if (!l->control)
		return -EPERM;
	if (fake->vm.state != MEZZ_VM_WAITING || fake->there[d->slot])
		return -EBUSY;
	fake->there[d->slot] = true;
	fake->device[d->slot] = *d;
	fake->state[d->slot] =
		(struct mezz_device_state){.version = MEZZ_STATE_VERSION, .queues = d->queues};
	return 0;
}

int link_start(struct link *l)
{
	if (!l->control)
		return -EPERM;
	fake->vm.state = MEZZ_VM_RUNNING;
	fake->starts++;
	return 0;
}

void link_confine(struct link *l)
{
	l->control = false;
}
