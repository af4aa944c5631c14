// SPDX-License-Identifier: MIT
// Waiting for a disk of the machine in the guest's stead.
//
// A guest with a single request in flight mostly has nothing else to do: it goes to sleep, its CPU halts, and the disk's
// interrupt wakes both. That is four exits and two changes of its timer for each request. So the CPU on which the
// request was made halts in the kernel at once, and goes back to the guest when the request is done. It does so only while
//
//	- the guest was seen to go to sleep after the last requests for which nobody waited, which is looked at again now
//	  and then: who has something else to do keeps his time. A disk may be done before a guest has gone to sleep;
//	  then it is told when it does, or, if it does not, after DISK_WAIT_HOLD_NS;
//	- nobody else wants the CPU, and it has no other work;
//	- nothing has come for the guest: a timer of its own, another interrupt;
//	- the disk is quick enough: not longer than DISK_WAIT_NS, and seldom after it was not.
//
// The time is the VM's. All under vm->lock but for disk_wait_work.
#pragma once

#include "devices/host.h"

struct vm;

#define DISK_WAIT_NS           1000000ull // a wait ends after twice as long at the latest
#define DISK_WAIT_HOLD_NS      1000000ull
#define DISK_WAIT_TRUST        4u  // sleeps in a row
#define DISK_WAIT_RUN          64u // waits until the guest is watched again
#define DISK_WAIT_PATIENCE_MIN 32u // requests without a wait after one that took too long
#define DISK_WAIT_PATIENCE_MAX 4096u

struct disk_wait {
	u32 in_flight; // requests below; read without the lock by who waits
	bool begun;    // some since the last commit
	bool telling;  // requests have just ended: the guest shall see them
	bool watching; // does the guest sleep, now that it has made a request?
	bool held;     // that is done, and the guest has not been told yet
	u16 trust;     // times in a row that it did; DISK_WAIT_TRUST: wait
	u16 run;       // waits until it is watched again
	u16 hold;      // requests until the next wait
	u16 patience;  // what hold will be next
	struct vm *vm;
	struct host *host;
	struct host_rest rest;
	struct host_timer timer;
	void (*tell)(struct disk_wait *w);
};

// Of a disk of this VM, whose host stays as long. tell: the guest shall see what has ended.
void disk_wait_init(
	struct disk_wait *w, struct vm *vm, struct host *host, void (*tell)(struct disk_wait *));
void disk_wait_destroy(struct disk_wait *w); // no lock held

// A request went to the disk; it is done.
static inline void disk_wait_begin(struct disk_wait *w)
{
	WRITE_ONCE(w->in_flight, w->in_flight + 1);
	w->begun = true;
}
static inline void disk_wait_end(struct disk_wait *w)
{
	WRITE_ONCE(w->in_flight, w->in_flight - 1);
}

// After a series of ends: shall the guest not be told yet? Then w->tell is called later.
bool disk_wait_hold(struct disk_wait *w);

// Nothing will be told any more.
void disk_wait_stop(struct disk_wait *w);

// The end of a batch of begins, by the vcpu that runs on this CPU or by somebody else.
void disk_wait_commit(struct disk_wait *w);

// From model_work, no lock held: waits for what was begun on this CPU.
void disk_wait_work(void);
