// SPDX-License-Identifier: MIT
// What a virtual device may ask of its host, and all that it may ask.
//
// Implemented by devices/host_kernel/ (the mono kernel; both kernels for a VM's console), devices/host_linux/ (back-ends
// in the root VM of the micro kernel) and devices/host_test/ (unit tests and fuzzers); the linker chooses. A device is called by one CPU at a time (the host holds the VM's lock), and
// may call everything here from every one of its entry points. The host is little-endian, as the guest is.
#pragma once

#include "lib/atomic.h"
#include "lib/types.h"

struct host; // one for each VM; what is in it is the host's own affair

// Guest memory. A pointer to guest RAM [gpa, gpa + len); NULL when a byte of it is not RAM, or when the range crosses
// a 4 KiB boundary or is empty. Valid until the device's entry returns; rings are kept longer, and looked up again when
// the host has taken memory away (host_drop, virtqueue_remap). The guest may change what is there at any moment: fetch
// each value once (READ_ONCE), then check the copy.
void *host_guest_ptr(struct host *h, u64 gpa, size_t len);

// Copies of any length; false when a byte of the range is not RAM (a part may have been copied then).
bool host_guest_read(struct host *h, u64 gpa, void *to, size_t len);
bool host_guest_write(struct host *h, u64 gpa, const void *from, size_t len);

// Sends a message-signalled interrupt, as a write of `data` to `addr` by a PCI function; nonsense is ignored.
void host_msi(struct host *h, u64 addr, u32 data);

// The interrupt pin (level) of the device on the bus's slot, for drivers that do not use MSI-X.
void host_intx(struct host *h, unsigned slot, bool level);

// A one-shot timer. fn is called like any entry of the device. Setting it again moves it; it is not called after
// a cancel. host_timer_destroy comes before its memory is freed, outside of all entries (the host holds no lock then).
struct host_timer {
	void (*fn)(struct host_timer *t);
	struct host *host;
	bool armed;
	u64 space[8]; // the host's
};
void host_timer_init(struct host *h, struct host_timer *t, void (*fn)(struct host_timer *));
void host_timer_set(struct host_timer *t, u64 delay_ns);
void host_timer_cancel(struct host_timer *t);
void host_timer_destroy(struct host_timer *t);

// Work that is put off until the guest has nothing else to do. While it is on, fn is called, like any entry of the
// device, each time a vcpu (its index in the VM) is about to sleep: what it raises then wakes that vcpu at once. It is no
// promise that this happens soon: a timer has to bound the time. Zeroed but for fn when it is first set.
struct host_rest {
	void (*fn)(struct host_rest *r, unsigned vcpu);
	struct host_rest *next; // the host's, as the next
	bool on;
};
void host_rest_set(struct host *h, struct host_rest *r, bool on);

// Output of the VM's console: takes as many bytes as there is room for now and returns how many. What was not taken
// the device offers again: when the host calls it because there is room, or after a while.
size_t host_console_write(struct host *h, const u8 *bytes, size_t len);

// The console's device took less input than it was offered, and has room again. Must not call back.
void host_console_room(struct host *h);

// Fills memory of ours with random bytes that nobody can guess; n up to 1 MiB.
void host_random(struct host *h, void *to, size_t n);

// One line of the log about this VM; the host bounds how many (a guest may provoke it).
__attribute__((format(printf, 2, 3))) void host_log(struct host *h, const char *fmt, ...);

// ---- memory that the guest gives back

// What the whole pages of [gpa, gpa + len) hold matters to the guest no more; the host may take them away. They read as
// zeros then, and a touch brings them back. gpa + len does not wrap; what is not RAM is passed over. Returns how many
// bytes of the range were dealt with, from its beginning: fewer than len when it was enough for once. Any number of
// ranges, then host_drop_end, after which no range may be named until done() was called.
u64 host_drop(struct host *h, u64 gpa, u64 len);

// done() is called, like any entry of the device and never before this returns, when the pages are out of everybody's
// reach: only then the guest may learn that they are taken, as what it writes into them before may be lost.
void host_drop_end(struct host *h);

// Who is called. Set once, by the device's init; there is one such device.
void host_on_dropped(struct host *h, void (*done)(void *device), void *device);

// ---- networks: what stands behind a virtual network card

struct host_net; // one for each card, given to its device by the host, whose own affair it is
struct net_frame;

// A frame from the guest, which net_offload_check (net/offload.h) let pass. It is valid during the call, in which the
// host copies what it keeps: what its segments name is guest memory. Frames may be dropped, as on any network.
void host_net_send(struct host_net *n, const struct net_frame *f);

// May the card ask its driver to notify of several frames together? While this is on, the host calls virtio_net_rest once, when a
// vcpu of the guest is about to sleep. false: it cannot tell, and the driver is to notify of each. Must not call back.
bool host_net_rest(struct host_net *n, bool on);

// The card had no room for a frame (virtio_net_receive), and may have some now. Must not call back.
void host_net_room(struct host_net *n);

// A piece of guest memory that a chain named. Whoever touches it checks that it is RAM.
struct host_segment {
	u64 gpa; // gpa + len does not wrap
	u32 len; // may be 0
};

// ---- block stores: what stands behind a virtual disk

struct host_block; // one for each disk, given to its device by the host, whose own affair it is

enum host_block_op {
	HOST_BLOCK_READ,  // into the segments
	HOST_BLOCK_WRITE, // from the segments
	HOST_BLOCK_FLUSH,
	HOST_BLOCK_DISCARD, // what the sectors hold matters no more: any content until they are written
	HOST_BLOCK_ZERO, // they read as zeros from then on
};

enum host_block_status {
	HOST_BLOCK_OK,
	HOST_BLOCK_ERROR, // sectors of a READ or WRITE: any mixture of done and not done
	HOST_BLOCK_UNSUPPORTED,
	HOST_BLOCK_NOT_RAM, // a segment was not RAM
};

// Constant while the VM lives.
struct host_block_info {
	u64 sectors;        // of 512 bytes, whatever block_size is
	u32 block_size;     // bytes; sector and count of a request must be whole blocks
	u32 physical_block; // bytes, what the store writes at once; a power of two times block_size
	bool read_only, discard, zero;
	bool immediate;   // most requests are done before submit returns
	u32 max_segments; // that are useful in a READ or WRITE; more are taken, too
	u64 max_sectors;  // of one DISCARD or ZERO
	char id[20];      // for people; not terminated when it is full
};

struct host_block_request {
	enum host_block_op op;
	u64 sector; // of 512 bytes
	u64 count;  // sectors; of READ and WRITE: what the segments hold
	const struct host_segment *segment;
	u32 segments;
	void (*done)(struct host_block_request *r, enum host_block_status status);
	u64 space[8]; // the host's, from submit to done
};

const struct host_block_info *host_block_info(const struct host_block *b);

// Begins a request; it and its segments stay as they are until done() was called: once, like any entry of the device,
// perhaps before submit returns. The host checks everything but the caller's own fields: range, blocks, whether a
// segment is RAM. It copies or transfers at any time until done(); it bounds what one call costs.
//
// Order: requests in flight together are done in any order. A FLUSH that is done with OK covers each WRITE, DISCARD and
// ZERO whose done() was called before the FLUSH was submitted: they outlive a loss of power (as far as the store is of
// a kind that outlives anything; docs/disks.md).
void host_block_submit(struct host_block *b, struct host_block_request *r);

// The end of a batch of submits: what was held back to go together goes now.
void host_block_commit(struct host_block *b);

// The device forgets what is in flight: requests that the host can end early it ends now (done() with ERROR), the
// others are done as usual.
void host_block_cancel(struct host_block *b);

// Who is called, like any entry of the device, after a series of done() that did not happen within submit, commit or
// cancel: to tell the driver of all of them at once. Set once, by the device's init.
void host_block_on_idle(struct host_block *b, void (*idle)(void *device), void *device);
