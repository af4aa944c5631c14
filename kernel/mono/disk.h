// SPDX-License-Identifier: MIT
// The block stores of the mono kernel, behind devices/host.h: images of the boot bundle, disks of the machine.
//
// A store belongs to one disk of one VM. All of it is under vm->lock.
#pragma once

#include "devices/host.h"
#include "kernel/core/bundle.h"

struct vm;
struct host_block;

struct disk_ops {
	void (*submit)(struct host_block *b, struct host_block_request *r);
	void (*commit)(struct host_block *b);
	void (*cancel)(struct host_block *b);
	// Nothing is in flight, and the VM's end waits: true when all that was written is on stable storage. False: WORK_REAP
	// is posted when it is worth to ask again. NULL: there is nothing to do.
	bool (*settle)(struct host_block *b);
	// Nothing is in flight; no lock held.
	void (*destroy)(struct host_block *b);
};

struct host_block {
	const struct disk_ops *ops;
	struct vm *vm;
	struct host_block_info info;
	void (*idle)(void *device);
	void *device;
};

// disk_image.c: an image in memory [data, data + size), a multiple of 512 bytes. NULL: *why tells.
enum disk_image_mode { DISK_IMAGE_IN_PLACE, DISK_IMAGE_READ_ONLY, DISK_IMAGE_PRIVATE };
struct host_block *disk_image_create(
	struct vm *vm, struct bundle_file image, enum disk_image_mode mode, const char **why);

// disk_device.c: a disk or partition of the machine.
struct host_block *disk_device_create(
	struct vm *vm, const char *name, bool write, const char **why);

// Tells the device that a series of done() has come.
static inline void disk_idle(struct host_block *b)
{
	if (b->idle)
		b->idle(b->device);
}
