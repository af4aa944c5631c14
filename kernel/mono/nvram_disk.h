// SPDX-License-Identifier: MIT
// A variable store's copy on a disk of the machine (storage/twin.h), written behind the guest's back.
//
// The store in memory changes at once. A moment after the last change, and at the latest after some seconds of changes, the whole
// of it is written as one generation. A loss of power leaves the store as it was at one moment.
#pragma once

#include "lib/types.h"

struct nvram_disk;
struct vm;

// For the store [data, data + size), of at most TWIN_BLOCKS. What the device keeps is read into it: the newest of what is usable(),
// else the newest; a device of zeros leaves it as it is. NULL, and nothing was changed: *why. At start only, as it waits;
// no lock held.
struct nvram_disk *nvram_disk_open(const char *device, u8 *data, u32 size,
	bool (*usable)(const u8 *data, u64 size), const char **why);

// Quiet. No lock held.
void nvram_disk_close(struct nvram_disk *d);

// Before any VM is attached, and after its end (NULL; quiet): whose lock guards it. No lock held.
void nvram_disk_attach(struct nvram_disk *d, struct vm *vm);

// Under vm->lock. [offset, offset + bytes) of the store has changed.
void nvram_disk_changed(struct nvram_disk *d, u32 offset, u32 bytes);

// Under vm->lock, when nothing changes any more. True: all is on stable storage, or the disk has failed to take it, which
// was logged. False: WORK_REAP is posted when that is so.
bool nvram_disk_quiet(struct nvram_disk *d);
