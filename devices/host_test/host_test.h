// SPDX-License-Identifier: MIT
// The host of unit tests and fuzzers: a little guest memory with a hole, and a record of all that a device does.
//
// Each page of guest memory is an allocation of its own, so that a sanitizer sees an access that leaves its page.
#pragma once

#include "devices/host.h"
#include "net/frame.h"

#define HOST_TEST_PAGES   24u
#define HOST_TEST_HOLE    20u // this page is not RAM
#define HOST_TEST_MSIS    64u
#define HOST_TEST_TIMERS  8u
#define HOST_TEST_RESTS   4u
#define HOST_TEST_CONSOLE 16384u

struct host_net {
	struct host *host;
};

struct host {
	u8 *page[HOST_TEST_PAGES];
	u32 touched; // set of pages to which somebody was given a pointer since the last host_test_clear

	struct {
		u64 addr;
		u32 data;
	} msi[HOST_TEST_MSIS]; // the first ones
	u32 msis;
	bool intx[32];
	u32 intx_changes;

	u64 now; // ns
	struct host_timer *timer[HOST_TEST_TIMERS];

	size_t console_len;
	size_t console_room; // bytes that it takes from now on
	u32 console_rooms;   // calls of host_console_room
	u32 logs;
	u8 random; // the next byte of host_random; each is one more than the one before
	u64 randoms;

	struct host_rest *rest[HOST_TEST_RESTS];
	void (*dropped)(void *device);
	void *drop_device;
	bool drop_ended;      // done() is owed: host_test_drop
	u32 drop_room;        // pages that it takes until then, 0: as many as come
	u32 drops, drop_ends; // pages that were named since the last done(); host_drop_end calls
	u64 drop_pages;       // set of those below HOST_TEST_PAGES, since the last host_test_clear

	struct host_net net;       // what a card is to be given
	u32 net_frames;            // that were sent
	u32 net_rooms;             // calls of host_net_room
	bool net_rests, net_rest;  // it can tell when the guest sleeps; it was asked to
	struct net_frame net_last; // the last one; its bytes are in net_bytes

	u8 console[HOST_TEST_CONSOLE]; // console_len bytes
	u8 net_bytes[NET_FRAME_MAX];   // net_last.length bytes
};

struct host *host_test_create(void);                // exits the process if there is no memory
void host_test_clear(struct host *h);               // memory, records and timers
void host_test_page_clear(struct host *h, u64 gpa); // of RAM
void host_test_destroy(struct host *h);

// Calls done(). false: it is not owed.
bool host_test_drop(struct host *h);

// Time goes on; timers that are due fire.
void host_test_advance(struct host *h, u64 ns);

// A vcpu of the guest is about to sleep.
void host_test_rest(struct host *h, unsigned vcpu);
