// SPDX-License-Identifier: MIT
// virtio-blk: a disk with several queues before a block store of the host (virtio 1.2, section 5.2).
//
// A request is taken from its ring when there is a slot for it, begun in the store, and given back when the store is done
// with it, in any order. What the driver gets for a wrong one: an unknown type or flag gives UNSUPP; a range outside the
// disk, a write to a read-only one, a length of no whole sectors give IOERR. A chain without a whole header or without a
// byte for the status is broken (NEEDS_RESET), as is one that leaves RAM.
//
// Without VIRTIO_BLK_F_FLUSH negotiated each write is flushed before it is given back (5.2.6.2).
//
// Before a store that is done at once the driver is asked to notify of several requests together, if it has several
// (virtio_pace.h). The others are seen when the vcpu of the queue is about to sleep (queue i is taken to be
// that of vcpu i, as drivers have it), and by a timer.
#pragma once

#include "devices/virtio.h"
#include "devices/virtio_pace.h"

#define VIRTIO_BLK_QUEUES       16u // at most
#define VIRTIO_BLK_QUEUE_SIZE   256u
#define VIRTIO_BLK_SLOTS        64u  // requests in flight, of all queues together
#define VIRTIO_BLK_SEGMENTS     128u // of a chain at most, header and status among them
#define VIRTIO_BLK_SEG_MAX      (VIRTIO_BLK_SEGMENTS - 2)
#define VIRTIO_BLK_SEGMENT_MAX  (1u << 20) // bytes of a segment, as the driver is told
#define VIRTIO_BLK_SECTOR       512u
#define VIRTIO_BLK_SECTOR_SHIFT 9
#define VIRTIO_BLK_GOAL_MAX     32u       // requests of which a driver notifies together
#define VIRTIO_BLK_PATIENCE     32u       // notifications between two trials of more
#define VIRTIO_BLK_LOOK_NS      100000ull // a request waits less than twice as long to be seen

// Features (5.2.3).
#define VIRTIO_BLK_F_SIZE_MAX     BIT(1)
#define VIRTIO_BLK_F_SEG_MAX      BIT(2)
#define VIRTIO_BLK_F_RO           BIT(5)
#define VIRTIO_BLK_F_BLK_SIZE     BIT(6)
#define VIRTIO_BLK_F_FLUSH        BIT(9)
#define VIRTIO_BLK_F_TOPOLOGY     BIT(10)
#define VIRTIO_BLK_F_MQ           BIT(12)
#define VIRTIO_BLK_F_DISCARD      BIT(13)
#define VIRTIO_BLK_F_WRITE_ZEROES BIT(14)

enum virtio_blk_type { // 5.2.6
	VIRTIO_BLK_T_IN = 0,
	VIRTIO_BLK_T_OUT = 1,
	VIRTIO_BLK_T_FLUSH = 4,
	VIRTIO_BLK_T_GET_ID = 8,
	VIRTIO_BLK_T_DISCARD = 11,
	VIRTIO_BLK_T_WRITE_ZEROES = 13,
};

enum virtio_blk_status { VIRTIO_BLK_S_OK, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_UNSUPP };

// The device's configuration, little-endian (5.2.4).
struct virtio_blk_config {
	u64 capacity; // sectors
	u32 size_max;
	u32 seg_max;
	u16 cylinders;
	u8 heads, sectors;
	u32 blk_size;
	u8 physical_block_exp;
	u8 alignment_offset;
	u16 min_io_size; // blocks
	u32 opt_io_size; // blocks
	u8 writeback;
	u8 unused0;
	u16 num_queues;
	u32 max_discard_sectors;
	u32 max_discard_seg;
	u32 discard_sector_alignment;
	u32 max_write_zeroes_sectors;
	u32 max_write_zeroes_seg;
	u8 write_zeroes_may_unmap;
	u8 unused1[3];
};

struct virtio_blk;

// A request in flight.
struct virtio_blk_slot {
	struct host_block_request request;
	struct virtio_blk *blk;
	struct virtio_blk_slot *next; // of the free ones
	u64 status;                   // guest-physical, of the byte
	u32 data;                     // bytes of writable memory before the status
	u32 filled;                   // of them, written when all goes well
	u16 head;
	u16 queue;
	struct host_segment seg[VIRTIO_BLK_SEGMENTS];
};

struct virtio_blk {
	struct virtio_device dev;
	struct host_block *store;
	struct virtio_blk_config config;
	struct host_timer later;       // a call has done its share: go on after
	struct virtio_blk_slot *spare; // free slots
	u32 in_flight;
	u32 waiting; // set of queues that may have chains for which there was no slot, or no time
	u32 used;    // set of queues with chains given back of which the driver was not told
	u32 turn;    // the queue that is served first next time
	bool inside; // an entry of ours runs that will tell it
	bool paused;
	u32 unasked; // set of queues whose driver may have put chains without a notification
	u32 aged;    // of them, those that were so all the time since the timer went off
	struct host_timer look; // looks at the aged ones,
	struct host_rest rest;  // as this at all when a vcpu is about to sleep
	struct virtio_pace pace[VIRTIO_BLK_QUEUES];
	struct virtqueue queue[VIRTIO_BLK_QUEUES];
	struct virtio_blk_slot slot[VIRTIO_BLK_SLOTS];
};

// queues: 1 to VIRTIO_BLK_QUEUES. The store is the device's alone.
void virtio_blk_init(
	struct virtio_blk *b, struct host *h, struct host_block *store, unsigned queues);
// host_timer_destroy's rule holds; nothing is in flight any more.
void virtio_blk_destroy(struct virtio_blk *b);

// While paused it begins nothing; what is in flight is done as usual. For a save.
void virtio_blk_pause(struct virtio_blk *b, bool on);

static inline bool virtio_blk_quiet(const struct virtio_blk *b)
{
	return !b->in_flight;
}

// State for save and restore.
struct virtio_blk_state {
	struct virtio_state virtio;
	u64 capacity; // sectors: a disk of another size is another disk
	struct virtqueue_state queue[VIRTIO_BLK_QUEUES]; // those behind virtio.queues are zero
};

// false: requests are in flight (virtio_blk_pause, and wait), or were when it was resumed and are not begun again yet.
bool virtio_blk_save(const struct virtio_blk *b, struct virtio_blk_state *s);
bool virtio_blk_load(struct virtio_blk *b, const struct virtio_blk_state *s); // as virtio_load
