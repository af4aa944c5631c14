// SPDX-License-Identifier: MIT
// The back-end of one VM: opens what stands behind its devices, becomes the VM's back-end, and serves the devices in one loop
// until the VM ends (docs/backends.md).
//
// It may be killed at any moment: what has to outlive it is in guest memory, in the state (state.h), and in the kernel. The next one
// attaches only when nothing of this one is in flight any more: the ring keeps the attached file open until then.
#pragma once

#include "backend/device.h"
#include "backend/firmware.h"
#include "backend/plan.h"

#define BACKEND_RUN "/run/mezzanine" // images of the boot bundle

struct watch; // a file of the loop

struct backend {
	const char *name;
	const char *run; // folder of images
	struct link *link;
	struct mezz_vm vm;
	struct plan plan;
	struct host host;
	struct host_ring *ring;
	struct mezz_bells *bells;
	struct state *state;
	u8 *memory;
	u64 memory_size; // guest-physical, with holes
	int events;      // eventfd, rings when there are bells
	int uplinks;     // tells of links of network cards; -1: no card follows one
	int epoll;
	bool ended;                        // the VM has
	int error;                         // -errno: the kernel refused; the loop is left
	struct device *device[MEZZ_SLOTS]; // NULL: none
	struct watch *watch[MEZZ_SLOTS];   // of taps; NULL: none
	int snapshot[BUNDLE_MAX_DISKS];    // files to be emptied when the VM has ended; -1: none
	struct mezz_firmware *firmware;    // NULL: the VM has none
	struct keeper *keeper;             // of its variables; NULL: they go with the VM
};

// All up to the start of the VM: false after a message. *ended: there is nothing to serve any more. run: BACKEND_RUN, or another
// folder for tests.
bool backend_open(struct backend *b, const char *name, const char *run, bool *ended);

// Serves. false after a message: it cannot go on. true: the VM has ended.
bool backend_run(struct backend *b);

// A network card of the root VM has a link, or has none: the cards that follow it have the same.
void backend_link_changed(void *b, const char *uplink, bool link);

// One turn of the loop, which waits for at most so many ns. false: the loop is to be left.
bool backend_turn(struct backend *b, u64 patience);

void backend_close(struct backend *b);
