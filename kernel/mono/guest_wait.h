// SPDX-License-Identifier: MIT
// Waiting in the guest's stead: for a disk of the machine, or for the answer from a network outside.
//
// A guest with a single request in flight mostly has nothing else to do: it goes to sleep, its CPU halts, and the
// interrupt wakes both. That is four exits and two changes of its timer for each request. So the CPU on which the
// request was made waits in the kernel at once, and goes back to the guest when the request is done. It does so only while
//
//	- the guest was seen to go to sleep after the last requests for which nobody waited, which is looked at again now
//	  and then: who has something else to do keeps his time. A request may be done before a guest has gone to sleep;
//	  then it is told when it does, or, if it does not, after GUEST_WAIT_HOLD_NS;
//	- nobody else wants the CPU, and it has no other work;
//	- nothing has come for the guest: a timer of its own, another interrupt;
//	- what is waited for is quick enough: not longer than `longest`, and seldom after it was not.
//
// The time is the VM's. All under vm->lock but for guest_wait_work.
#pragma once

#include "devices/host.h"

struct vm;

#define GUEST_WAIT_NS           1000000ull // the longest for a disk
#define GUEST_WAIT_NET_NS       250000ull  // for an answer from outside
#define GUEST_WAIT_HOLD_NS      1000000ull
#define GUEST_WAIT_TRUST        4u  // sleeps in a row
#define GUEST_WAIT_RUN          64u // waits until the guest is watched again
#define GUEST_WAIT_PATIENCE_MIN 32u // requests without a wait after one that took too long
#define GUEST_WAIT_PATIENCE_MAX 4096u

struct guest_wait {
	u32 in_flight; // requests below; read without the lock by who waits
	bool begun;    // some since the last commit
	bool telling;  // requests have just ended: the guest shall see them
	bool watching; // does the guest sleep, now that it has made a request?
	bool held;     // that is done, and the guest has not been told yet
	u16 trust;     // times in a row that it did; GUEST_WAIT_TRUST: wait
	u16 run;       // waits until it is watched again
	u16 hold;      // requests until the next wait
	u16 patience;  // what hold will be next
	u64 since;     // ticks: the begin of the last wait
	u64 longest;   // ns; where only an interrupt ends it, up to twice GUEST_WAIT_NS
	struct vm *vm;
	struct host *host;
	struct host_rest rest;
	struct host_timer timer;
	void (*tell)(struct guest_wait *w);
};

// Of a disk or a card of this VM, whose host stays as long. tell: the guest shall see what has ended.
void guest_wait_init(struct guest_wait *w, struct vm *vm, struct host *host, u64 longest_ns,
	void (*tell)(struct guest_wait *));
void guest_wait_destroy(struct guest_wait *w); // no lock held

// A request went down; it is done.
static inline void guest_wait_begin(struct guest_wait *w)
{
	WRITE_ONCE(w->in_flight, w->in_flight + 1);
	w->begun = true;
}
static inline void guest_wait_end(struct guest_wait *w)
{
	WRITE_ONCE(w->in_flight, w->in_flight - 1);
}

// After a series of ends: shall the guest not be told yet? Then w->tell is called later.
bool guest_wait_hold(struct guest_wait *w);

// Nothing will be told any more.
void guest_wait_stop(struct guest_wait *w);

// The end of a batch of begins, by the vcpu that runs on this CPU or by somebody else.
void guest_wait_commit(struct guest_wait *w);

// From model_work, no lock held: waits for what was begun on this CPU.
void guest_wait_work(void);
