// SPDX-License-Identifier: MIT
// Split virtqueues, the device's side (virtio 1.2, section 2.7).
//
// A queue is three arrays in guest memory, all written by a guest that may be hostile:
//
//	descriptors  desc[size]     pieces of memory, chained by `next`: what to read, then where to write
//	available    idx, ring[]    the driver puts heads of chains there for the device
//	used         idx, ring[]    the device gives heads back, with the number of bytes that it wrote
//
// The device looks at the oldest available chain (virtqueue_peek), which fetches every descriptor once into memory of
// ours and checks it; takes it (virtqueue_next); works; gives it back (virtqueue_push); and at the end of a batch
// asks whether the driver wants an interrupt (virtqueue_wants_interrupt). What breaks a rule makes the queue `broken`:
// it yields nothing any more, and its device asks the driver for a reset (virtio_check).
//
// Locks: as the device (host.h). Nothing here loops longer than the queue is.
#pragma once

#include "devices/host.h"

#define VIRTQUEUE_MAX 256 // entries; the descriptors then lie in two pages at most

// What a save takes of a queue, and a load gives it: plain data, the same on every host.
struct virtqueue_state {
	u64 desc, driver,
		device;  // guest-physical; `driver` is the available ring, `device` the used one
	u16 size;        // entries, a power of two
	u16 enabled;     // 0 or 1
	u16 next_avail;  // index of the next available entry to look at
	u16 next_used;   // index of the next used entry to write
	u16 signalled;   // next_used when an interrupt was last decided on
	u16 reserved[3]; // zero
};

// What is kept of a queue beside guest memory, so that another process can go on with it when the one that serves it has
// been killed between any two of its instructions (virtqueue_resume): plain data, in memory that outlives the process; all
// zero at first.
//
// Chains that are given back in the order in which they were available need nothing: how many came back, the used index
// tells. Where it is another order, the log names those that are out:
//
//	taken    the heads of the chains that were taken and not given back
//	giving   while a chain is given back: its head, and the used index before
//
// virtqueue_next:  0. the head's mark is set; only then the device begins with the chain
// virtqueue_push:  1. the entry in the used ring is written, which nobody reads yet
//                  2. `giving` is written, with one store
//                  3. the used index is one more: from now on the driver has the chain
//                  4. the head's mark is cleared
//                  5. `giving` is cleared
//
// Who reads the log is another process, after the death: it sees all stores up to some instruction and none behind it.
// So nothing counts but their order, which is the program's on x86 if the compiler keeps it. Up to 3 the used index is
// the one in `giving`, and the mark stands: the chain is still out. From 3 to 5 the index is one more: the mark goes, for
// the first or the second time. Before 2 and after 5 the marks alone are right. Were there no 5, a chain with the same head
// that is taken next would lose its mark. So the marks, thus settled, are the chains that are out, and their number and the
// used index together are how many were ever taken, from which the place in the available ring follows.
struct virtqueue_log {
	u64 taken[VIRTQUEUE_MAX / 64]; // a bit for each head
	u64 giving; // 0: none; else VIRTQUEUE_GIVING, the head << 16 and the used index
	u32 life;   // of the device to which it belongs (virtio_resume)
	u32 reserved[5];
};

#define VIRTQUEUE_GIVING BIT(32)

// The queue's log in this life of its device: true if it was one in this life before. Else it is emptied and is from now on.
bool virtqueue_log_begin(struct virtqueue_log *log, u32 life);
// Nothing is out any more, as after a reset.
void virtqueue_log_clear(struct virtqueue_log *log);

// One of the three arrays, as pointers to the two pages that it may touch.
struct virtqueue_part {
	u8 *page[2];
	u32 first; // bytes of it in page[0]
};

struct virtqueue {
	struct host *host;
	struct virtqueue_state s;
	const char *broken; // why; NULL: it is not
	bool event_idx;     // VIRTIO_F_EVENT_IDX was negotiated
	bool indirect;      // VIRTIO_F_INDIRECT_DESC was
	bool owed;     // it was resumed: the driver may wait for an interrupt that was never sent
	u16 redo;      // it was resumed: chains that were out, and are to be taken again ...
	u16 redo_from; // ... which are those with a mark from this head on
	struct virtqueue_log *log; // NULL: none is kept
	u16 shown;                 // with a log: the head that was peeked at
	struct virtqueue_part desc, avail, used;
};

// A chain, copied and checked. The first `readable` segments are for the device to read, the others to be written.
struct virtqueue_chain {
	struct host_segment
		*seg; // room for `max`, the caller's; not checked to be RAM, they do not wrap
	u16 max;
	u16 segs;
	u16 readable;
	u16 head;
	u64 read_bytes;  // of all readable segments
	u64 write_bytes; // of all others; both together at most 4 GiB
};

// Forgets everything, and that there is a log: not enabled, of this size.
void virtqueue_reset(struct virtqueue *q, struct host *h, u16 size);

// Maps the rings that q->s names and enables the queue. A bad size, misaligned rings or rings outside RAM break it.
// Also after q->s was loaded; the caller sets event_idx and indirect.
void virtqueue_enable(struct virtqueue *q);

// After virtqueue_enable, of a queue that another process had run, whose log (or NULL: see above) the caller has set: goes
// on where that one stopped. What it had taken and not given back is yielded again, before all others. Guest memory and the
// log may hold nonsense, by which the queue is broken or the guest harms itself. All notifications are on; an
// interrupt is owed (q->owed), which the caller sends.
void virtqueue_resume(struct virtqueue *q);

// What lies in guest memory may have moved (host_drop): looks the rings up anew. Harmless to a queue that is not
// enabled; one whose rings are not in RAM any more is broken.
void virtqueue_remap(struct virtqueue *q);

// The oldest available chain into *c (c->seg and c->max are the caller's): true, or false when there is none or the
// queue is broken. A chain of more than c->max segments breaks it; with a log also one that is out already.
bool virtqueue_peek(struct virtqueue *q, struct virtqueue_chain *c);

// How many chains are available now; 0 if the queue is broken or not enabled.
u16 virtqueue_available(struct virtqueue *q);

// Takes the chain that virtqueue_peek showed.
void virtqueue_next(struct virtqueue *q);

// Gives the chain back, `written` bytes of its writable segments filled. May come in any order, later too.
void virtqueue_push(struct virtqueue *q, u16 head, u32 written);

// Gives n chains back, of which the driver sees all or none. For a queue without a log.
void virtqueue_push_all(struct virtqueue *q, const u16 *head, const u32 *written, u32 n);

// Shall the driver get an interrupt for what was pushed since the last call? (2.7.7, 2.7.8)
bool virtqueue_wants_interrupt(struct virtqueue *q);

// How many were pushed since that was last asked.
u16 virtqueue_untold(const struct virtqueue *q);

// The same question, when the answer may wait: true when the driver has taken note of all by itself, and nothing is owed to
// it. Else it is still to be asked.
bool virtqueue_settle(struct virtqueue *q);

// Does the device want to be notified of new chains? It is a hint to the driver. When switched on: true when chains
// are available already, of which the driver may not tell again.
bool virtqueue_set_kicks(struct virtqueue *q, bool on);

// As virtqueue_set_kicks(q, true), for a device that has seen that many available chains, took none, and needs more:
// true when there are more already.
bool virtqueue_await(struct virtqueue *q, u16 seen);

// Copies from the readable, or to the writable part of a chain, beginning `offset` bytes into it. Returns the bytes
// copied: fewer than len at the end of the chain, or where it is not RAM (the queue is broken then).
size_t virtqueue_read(
	struct virtqueue *q, const struct virtqueue_chain *c, u64 offset, void *to, size_t len);
size_t virtqueue_write(struct virtqueue *q, const struct virtqueue_chain *c, u64 offset,
	const void *from, size_t len);
