// SPDX-License-Identifier: MIT
// devices/host.h for a process of the root VM that serves one VM (docs/backends.md).
//
// One thread, one loop: whoever waits for events calls the functions below, and they call the devices. Guest memory is one mapping
// by guest-physical address. Virtual PCI functions are the kernel's there, so a device has another transport than virtio_pci.c.
#pragma once

#include "devices/host.h"
#include "net/bucket.h"

#define HOST_LINUX_RANGES 3u

struct host {
	u8 *memory; // guest-physical 0; the caller's, mapped at least where there is RAM
	struct {
		u64 start, end;
	} ram[HOST_LINUX_RANGES]; // no two touch; empty ones are not there
	const char *name;         // for the log; stays with the caller
	struct host_timer *timer; // armed, the next to go off first
	struct net_bucket lines;  // of the log
	u64 silent;               // lines that were not written
};

// No memory yet.
void host_linux_init(struct host *h, const char *name);

// ns of the monotonic clock.
u64 host_linux_now(void);

// ns until the next timer goes off, 0 if it is late; ~0: none is armed.
u64 host_linux_timeout(const struct host *h);

// Calls those that are due, once each.
void host_linux_timers_run(struct host *h);

// Is all of [gpa, gpa + len) RAM? Not if it is empty.
static inline bool host_linux_is_ram(const struct host *h, u64 gpa, u64 len)
{
	for (unsigned i = 0; i < HOST_LINUX_RANGES; i++)
		if (gpa >= h->ram[i].start && gpa < h->ram[i].end)
			return len && len <= h->ram[i].end - gpa;
	return false;
}
