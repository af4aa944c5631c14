// SPDX-License-Identifier: MIT
// The io_uring of a process, shared by all of its block stores: one system call for a batch of requests, of whatever disks.
//
// The ring keeps an open file for as long as a request of it is in flight, even when the process has been killed
// (host_ring_hold): who waits until that file is closed knows that nothing moves any more.
#pragma once

#include <sys/uio.h>

#include "devices/host.h"

#define HOST_RING_ENTRIES 256u
#define HOST_RING_FLIGHTS 1024u        // requests in flight at most: as many completions have room
#define HOST_RING_IOVECS  4096u        // of a batch
#define HOST_RING_BOUNCE  (64u * 1024) // bytes of one
#define HOST_RING_BOUNCES 16u

// In host_block_request.space.
struct host_flight {
	struct host_block *block;
	struct host_block_request *next; // of those that wait
	u64 done;                        // bytes
	u32 segment, offset;             // READ, WRITE: where `done` is
	u32 piece;                       // bytes in flight
	u16 bounce;                      // the number of its buffer + 1; 0: it has none
	u16 tries;                       // that moved nothing, one after the other
};

struct io_uring; // <liburing.h> has other atomic_* than lib/atomic.h, so only those who need it include it
struct io_uring_sqe;

struct host_ring {
	struct io_uring *uring;
	u32 iovecs; // taken by what was not submitted yet
	u32 flights;
	u32 bounces;                     // set of free buffers
	struct host_block *blocks;       // all stores
	struct host_block_request *head; // wait for room, oldest first
	struct host_block_request **tail;
	u8 *bounce; // HOST_RING_BOUNCES of them
	struct iovec iovec[HOST_RING_IOVECS];
};

// NULL: errno tells. It is a file that can be polled: readable when host_ring_reap has something to do.
struct host_ring *host_ring_create(void);
int host_ring_fd(const struct host_ring *r);
void host_ring_destroy(struct host_ring *r); // nothing is in flight

// The file stays open until nothing is in flight any more, after the process has closed it, or was killed. Once. 0 or -errno.
int host_ring_hold(struct host_ring *r, int fd);

// Takes note of some of what is done, and calls the devices.
void host_ring_reap(struct host_ring *r);

// Submits what is prepared. false: the kernel had no room: to be called again soon.
bool host_ring_submit(struct host_ring *r);

// ---- for host_linux_block.c

// Room for an entry and so many iovecs; NULL: not now, the request has to wait.
struct io_uring_sqe *host_ring_entry(struct host_ring *r, u32 iovecs);
u8 *host_ring_bounce(struct host_ring *r,
	struct host_flight *f); // the flight's, which gets one; NULL: all are in use
void host_ring_bounce_give(struct host_ring *r, struct host_flight *f);
void host_ring_wait(struct host_ring *r, struct host_block_request *q);

static inline struct host_flight *host_flight_of(struct host_block_request *q)
{
	return (struct host_flight *)(void *)q->space;
}

_Static_assert(
	sizeof(struct host_flight) <= sizeof(((struct host_block_request *)0)->space), "room");
