// SPDX-License-Identifier: MIT
// Block stores of a process: files and block devices, read and written by io_uring straight from and to guest memory.
//
// Where the file can do without the page cache (O_DIRECT) it does; then what a guest gives with another alignment than the file
// wants goes through a buffer. Nobody else may write the file.
#pragma once

#include "devices/host_linux/host_linux.h"
#include "devices/host_linux/host_linux_ring.h"

struct host_block {
	struct host *host;
	struct host_ring *ring;
	struct host_block *next;
	int fd;
	bool is_device;
	bool direct;
	bool dirty;    // something was written since the last flush began
	bool finished; // a series of done() has come, of which the device was not told
	u32 align;     // direct: of guest memory; 1 otherwise
	u32 block;     // direct: of offsets and lengths
	u8 way[2];     // of a DISCARD and of a ZERO, the first that the file has not refused
	struct host_block_info info;
	void (*idle)(void *device);
	void *device;
	struct host_block_request last; // of host_block_settle
	bool settling;
};

// Makes a store of an open file, which becomes the store's. id: for people. NULL: *why tells, and the file stays the caller's.
struct host_block *host_block_create(
	struct host *h, struct host_ring *r, int fd, bool write, const char *id, const char **why);
void host_block_destroy(struct host_block *b); // nothing is in flight

// Nothing is in flight: true when all that was written is on stable storage, as far as that could be. Else it is underway: to be
// asked again after host_ring_reap.
bool host_block_settle(struct host_block *b);

// ---- for host_linux_ring.c

void host_block_go_on(struct host_block_request *q); // there may be room for it now
void host_block_moved(struct host_block_request *q, s32 result);
void host_blocks_idle(struct host_ring *r);
