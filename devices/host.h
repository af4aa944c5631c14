// SPDX-License-Identifier: MIT
// What a virtual device may ask of its host, and all that it may ask.
//
// Implemented by devices/host_kernel/ (the mono kernel; both kernels for a VM's console) and devices/host_test/ (unit
// tests and fuzzers); the linker chooses. A device is called by one CPU at a time (the host holds the VM's lock), and
// may call everything here from every one of its entry points. The host is little-endian, as the guest is.
#pragma once

#include "lib/atomic.h"
#include "lib/types.h"

struct host; // one for each VM; what is in it is the host's own affair

// Guest memory. A pointer to guest RAM [gpa, gpa + len); NULL when a byte of it is not RAM, or when the range crosses
// a 4 KiB boundary or is empty. Valid while the VM lives. The guest may change what is there at any moment: fetch each
// value once (READ_ONCE), then check the copy.
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

// Output of the VM's console: takes as many bytes as there is room for now and returns how many. What was not taken
// the device offers again: when the host calls it because there is room, or after a while.
size_t host_console_write(struct host *h, const u8 *bytes, size_t len);

// The console's device took less input than it was offered, and has room again. Must not call back.
void host_console_room(struct host *h);

// One line of the log about this VM; the host bounds how many (a guest may provoke it).
__attribute__((format(printf, 2, 3))) void host_log(struct host *h, const char *fmt, ...);

// ---- networks: what stands behind a virtual network card

struct host_net; // one for each card, given to its device by the host, whose own affair it is
struct net_frame;

// A frame from the guest, which net_offload_check (net/offload.h) let pass. It is valid during the call, in which the
// host copies what it keeps: what its segments name is guest memory. Frames may be dropped, as on any network.
void host_net_send(struct host_net *n, const struct net_frame *f);

// The card had no room for a frame (virtio_net_receive), and may have some now. Must not call back.
void host_net_room(struct host_net *n);
