// SPDX-License-Identifier: MIT
// One back-end for each VM that needs one, always: started, watched, and started again when it dies.
//
// A VM needs a back-end when it has disks or network cards. Each is in one of these states:
//
//	waits -> runs      its time has come: networks are plugged, the process is started
//	runs  -> waits     the process has died, of whatever cause; or could not be started
//	found -> runs      by a mezzd that was started anew: the process lives
//	any   -> forgotten the VM has ended, and the process, too
//
// It waits 1 ms, as a guest waits with it; up to 20 times at once, and twice a second in the long run. A process that dies more often than
// that is broken: it waits twice as long each time, up to 5 s, until one has lived for 10 s. So it does not eat the machine, and
// is never given up. A back-end that others started (a person, a mezzd that was killed at a bad moment) is waited for.
#pragma once

#include "abi/hypercall.h"
#include "mezzd/loop.h"
#include "mezzd/process.h"
#include "mezzd/state.h"

#define SUPERVISOR_LOOK_MS  1000  // between two looks for new VMs
#define SUPERVISOR_PAUSE_MS 5000  // at most
#define SUPERVISOR_QUICK    20    // short pauses that may come at once
#define SUPERVISOR_REFILL   500   // ms until there is one more
#define SUPERVISOR_LONG_MS  10000 // who lived so long was well
#define SUPERVISOR_GONE_MS  10000 // so long may a back-end go on when its VM has ended

struct supervisor;

struct backend {
	struct supervisor *supervisor;
	struct backend *next;
	char name[MEZZ_NAME_SIZE]; // of the VM
	uint32_t vm;               // its id
	char file[STATE_PATH];     // where its process stands
	struct process process;
	struct loop_source source; // of the process
	struct loop_timer timer;   // waits: its next start; runs and the VM has ended: its end
	int64_t since;             // when it was started, or found
	int64_t pause;             // ms, the last one
	int64_t quick;             // short pauses that are left
	int64_t counted;           // when they were last refilled
	unsigned starts;
	bool runs;
	bool seen; // the VM is there, in the look that is being taken
};

struct supervisor {
	struct loop *loop;
	const char *folder;  // of state.h; stays with the caller
	const char *program; // mezz-backend
	struct backend *backends;
	struct loop_timer look;
	// Told when a back-end starts ("backend.started") and dies ("backend.died", how); may be NULL. Set before supervisor_start.
	void (*tell)(void *owner, const char *event, const char *vm, const char *how);
	void *owner;
};

// Looks for VMs at once, and each second from then on, while the loop runs. Of *s only tell and owner are read.
void supervisor_start(
	struct supervisor *s, struct loop *l, const char *folder, const char *program);

// There may be a VM that was not there: looks now.
void supervisor_hurry(struct supervisor *s);

// Forgets all. Processes go on.
void supervisor_stop(struct supervisor *s);
