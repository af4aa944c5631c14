// SPDX-License-Identifier: MIT
// Disks of the machine, as the mono kernel uses them.
//
// A driver registers a controller (its queues) and the disks behind it; partitions are found by the kernel.
// Users open a device by name and submit requests. The layer between cuts a request into pieces that the
// driver's limits allow, copies what they do not, starts pieces as slots become free, and watches the time:
// a piece that fails ends its request with an error; one that does not answer makes the driver abort it or
// reset the controller. What was in flight with it is then started once more, and fails if that happens to
// it twice.
//
// Locks: each queue has one, rank LOCK_BLOCK; a request belongs to the queue of the CPU that submitted it.
#pragma once

#include "drivers/iommu.h"
#include "kernel/core/spinlock.h"
#include "kernel/core/timer.h"
#include "lib/addr.h"

#define BLOCK_SECTOR 512u
#define BLOCK_QUEUES 16
#define BLOCK_NAME   24

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_ZERO };

struct block_segment {
	hpa_t at;
	u32 len; // bytes
};

// What one command of a disk can do.
struct block_limits {
	u32 block_size;     // 512 .. 4096: unit of everything
	u32 physical_block; // what is written best as a whole
	u32 max_bytes;      // of data, a multiple of 4096
	u32 max_segments;
	u32 align; // of each segment's address and length, a power of two; at most block_size
	u32 page;  // not 0: only the first segment may begin, only the last end, off its multiples
	u64 max_discard; // sectors, 0: the disk cannot
	u64 max_zero;
	bool read_only;
};

// A part of a request that is one command.
struct block_piece {
	u64 sector;  // of the disk
	u64 sectors; // 0 for a flush
	u32 segment; // where its data begins
	u32 offset;  // in that segment
	bool bounced;
	bool mapped;                 // for the device, see drivers/iommu.h
	struct block_segment buffer; // the data's place then
};

// Requests of one user, which often end together. over is called after done() of one or more of them in a row, with their
// number, as done is.
struct block_series {
	void (*over)(struct block_series *s, u32 told);
};

struct block_request {
	enum block_op op;
	u64 sector, count; // of 512 bytes, within the device
	const struct block_segment *segments;
	u32 segment_count; // together count * 512 bytes for READ and WRITE, else none
	bool unreachable;  // a test of the IOMMU: it is not told of this memory
	// Called once, with no lock held and interrupts off, on any CPU: err is 0, -EIO, or -ENODEV when the
	// disk is gone. Never from within block_submit.
	void (*done)(struct block_request *r, int err);
	struct block_series *series; // NULL, or who is told of the end of a series of done

	// The layer's, from submit to done; a driver reads disk, op and piece and may use slot.
	struct list link;
	struct block_disk *disk;
	struct block_piece piece;
	u64 left; // sectors behind the piece
	u64 deadline;
	int err;
	u16 slot;
	u8 retries;
	u8 expiries;
};

// One queue of a controller. A driver embeds it.
struct block_queue {
	struct spinlock lock; // rank LOCK_BLOCK
	struct block_controller *controller;
	struct list waiting;  // to be started, in order
	struct list active;   // with the device; by deadline
	struct list finished; // to be told
	struct timer timer;   // about the first of the active
	bool stopped;         // nothing is started: a reset is under way
	bool started;         // something was, and the device does not know yet
	// block_hot.c. Own CPU:
	struct pcpu *cpu; // where its interrupt comes; NULL: it cannot be held back
	u64 ended, hot;   // ticks: when something last ended; until when it is looked at
	bool is_hot;
	struct block_queue *next_hot;
	struct timer look;
	struct block_request *bounce_user;
	u8 *bounce;
	struct iommu_range unmapped; // before anything that has ended is told
};

struct block_driver {
	// With the queue's lock held:
	// Gives r->piece to the device: 0; -EAGAIN: no slot is free, a completion will come.
	int (*start)(struct block_queue *q, struct block_request *r);
	// Tells the device of what was started.
	void (*kick)(struct block_queue *q);
	// r has not been answered in time (r->expiries: how often that was, 1 at first). True: wait as
	// long again. False: r waits for the reset that the driver has begun.
	bool (*expire)(struct block_queue *q, struct block_request *r);

	// For queues with a `cpu`, on that, with no lock held (block_hot.c):
	// Has something ended that was not taken? Looks at memory only.
	bool (*ready)(const struct block_queue *q);
	// What its interrupt does.
	void (*interrupt)(void *queue);
	// Holds the interrupt back, or does not any more: then one that was held back comes.
	void (*mask)(struct block_queue *q, bool on);

	// The two below are called with no lock held, by one CPU at a time.
	// One step towards a controller that works and whose queues are new; the first one stops whatever it
	// does. In how many ns the next step shall be; 0: it works; BLOCK_FAILED: it does not (c->why says why).
	u64 (*recover)(struct block_controller *c, bool first);
	// It must not touch memory any more.
	void (*cut_off)(struct block_controller *c);
};

#define BLOCK_FAILED (~0ull)

enum block_state { BLOCK_LIVE, BLOCK_ASKED, BLOCK_UNDERWAY, BLOCK_DEAD };

struct block_controller {
	const struct block_driver *driver;
	struct iommu_domain *domain; // of the function that it is; NULL: no IOMMU
	char name[16];
	u32 queue_count;
	struct block_queue *queues[BLOCK_QUEUES];
	bool dead;

	struct spinlock
		lock; // rank LOCK_DRIVER: state; what the driver keeps for the whole controller
	enum block_state state;
	const char *why;    // it is reset, or fails
	bool routine;       // the reset is no failure
	struct timer timer; // of the next step of a reset
	u32 resets;         // lately
	u64 reset_at;       // the last one, ticks
};

struct block_disk {
	struct block_controller *controller;
	char name[BLOCK_NAME];
	char id[21]; // serial number, printable
	u64 sectors; // of 512 bytes
	u32 unit;    // the driver's: namespace, port, ...
	struct block_limits limits;
};

// A disk or a partition of one.
struct block_device {
	char name[BLOCK_NAME]; // nvme0n1, nvme0n1p3
	char partuuid[37];     // of a partition: 8-4-4-4-12 hexadecimal digits in lower case
	struct block_disk *disk;
	u64 first, sectors;
	bool written; // somebody has it open for writing
};

// ---------------------------------------------------------------- for users

// The device of this name or PARTUUID; NULL: there is none.
struct block_device *block_find(const char *name);

// Takes it for use. NULL, or why not: a device is opened for writing once, and not while a device that
// overlaps it is. Any number may read.
const char *block_open(struct block_device *d, bool write);
void block_close(struct block_device *d, bool write);

// Hands over a request; it and its segments stay in place until done. 0; -EINVAL: it makes no sense for this
// device; -EROFS; -ENODEV: the disk is gone. done is called only after 0. Any CPU, locks below LOCK_BLOCK.
int block_submit(struct block_device *d, struct block_request *r);

// After a batch of submits on this CPU: lets the device begin.
void block_commit(struct block_device *d);

// Takes what has ended in this CPU's queues that raise no interrupts just now. No lock held. True: to be called again
// instead of going to sleep, as something is in flight there.
bool block_look(void);

// Start only: reads and waits. 0 or an error.
int block_read_now(struct block_disk *disk, u64 sector, void *to, u32 bytes);

// ---------------------------------------------------------------- for drivers, at start

// Prepares a controller that is all zero, but for its name and its domain.
void block_controller_init(struct block_controller *c, const struct block_driver *driver);

// Brings it to work by the driver's steps; 0 or -EIO, which was logged.
int block_bring_up(struct block_controller *c);

// Prepares a queue; 0 or -ENOMEM.
int block_queue_init(struct block_queue *q, struct block_controller *c);

// A disk that works: logs it and finds its partitions. It stays for good.
void block_register(struct block_disk *disk);

// ---------------------------------------------------------------- for drivers, with the queue's lock held

// The piece has ended.
void block_complete(struct block_queue *q, struct block_request *r, int err);

// The device has stopped by itself, as some do when a command fails: what it still had goes back to what waits, and
// nothing is started. block_restart then brings it back.
void block_halt(struct block_queue *q);

// The pieces of physical memory of r->piece, one at each call; false: no more.
struct block_cursor {
	const struct block_segment *segment;
	u64 left;
	u32 offset;
};
void block_cursor_start(struct block_cursor *c, const struct block_request *r);
bool block_cursor_next(struct block_cursor *c, struct block_segment *out);

// ---------------------------------------------------------------- for drivers, with no lock held by them

// At the end of an interrupt, with the queue's lock, which it gives back: starts what waits, tells of what ended.
void block_queue_end(struct block_queue *q);

// Begins a reset unless one is under way; it goes on by timer. Any CPU, locks below LOCK_DRIVER.
void block_reset(struct block_controller *c, const char *why);

// The same where that is no failure of the controller: it is not logged and not counted.
void block_restart(struct block_controller *c);

// Its parts: from block_stop on nothing is started; it returns when no start is under way. Once the device is
// known not to touch memory any more and its queues are new, block_resume starts again what was in flight, or
// block_dead ends everything with -ENODEV.
void block_stop(struct block_controller *c);
void block_resume(struct block_controller *c);
void block_dead(struct block_controller *c);

// block_hot.c. At the end of an interrupt that found something, with no lock held; on a queue made by block_hot_init.
void block_heat(struct block_queue *q);

// After something was submitted, with any locks.
void block_hot_submitted(struct block_queue *q);

// Start only: the queue's driver has ready, interrupt and mask, and its interrupt comes on this CPU.
void block_hot_init(struct block_queue *q, struct pcpu *cpu);

// block_devices.c: the list of them, for keys and tests; i from 0, NULL: no more.
struct block_device *block_at(u32 i);
