// SPDX-License-Identifier: MIT
// Virtual devices whose back-ends are processes of the root VM (docs/backends.md).
//
// The transport is the kernel's: configuration space, MSI-X, negotiation, the addresses of queues. So every access of the guest
// is answered at once, and a vcpu never waits for a process. What the device does is the back-end's: it is told by bells, bits in
// a page of the root VM, reaches the VM's memory, and asks for interrupts.
//
// Life of a VM with such devices: WAITING, until a back-end has added them and starts it; then back-ends come and go. A reset
// of a device lasts until the back-end has nothing in flight. A VM that has ended is given back when no back-end is attached any
// more, and the root VM cannot reach its memory.
#pragma once

#include "abi/hypercall.h"
#include "devices/host_kernel/host_kernel.h"
#include "kernel/micro/firmware.h"
#include "kernel/vm/vm.h"

struct remote; // a device

// Of a VM, under its lock.
struct vm_backend {
	struct host host;
	u64 serial;               // no other VM has it
	struct mezz_bells *bells; // in the root VM's memory; NULL: no back-end is attached
	struct host_rest rest;    // what vm->rest names meanwhile
	bool lent;                // the root VM may reach some of its memory
	bool flushing;            // not any more, when its vcpus have flushed
	u64 at;                   // guest-physical: how far its memory has been taken back
	struct remote *device[MEZZ_SLOTS];
	struct firmware *firmware; // c: NULL: it starts from a kernel
};

// ---- backend.c

// What the VM's lines and its kernel ask for: NULL, or why it cannot be. It waits if there are disks, cards or firmware.
const char *backend_create(struct vm *vm, bool has_root);
const char *backend_lines(const struct bundle_vm *c, bool *devices);
void backend_destroy(struct vm *vm); // quiet, or never started

// All its vcpus are gone: false: not everything has come back. The list of VMs is locked.
bool backend_quiet(struct vm *vm);

// ---- backend_call.c

// A hypercall that root_call does not know.
s64 backend_call(struct vcpu *v, u64 nr, const u64 a[4]);

// ---- backend_device.c: all with vm->lock held
s64 remote_add(struct vm *vm, const struct mezz_device *d);
s64 remote_state(const struct remote *r, struct mezz_device_state *s);
s64 remote_interrupt(struct remote *r, u64 queues);
s64 remote_do(struct remote *r, u64 op);
s64 remote_config(struct remote *r, const void *config, u64 size);
void remote_free(struct remote *r);

// Resets it unless that has been done, or is underway. True: it is done.
bool remote_quiet(struct remote *r);

// The back-end has gone.
void remote_detached(struct remote *r);

// ---- backend_memory.c: all with vm->lock held

// As MEZZ_CALL_MAP.
s64 backend_lend(struct vm *vm, u64 gpa);

// The root VM shall not reach the VM's memory any more. False: not yet; bounded, to be called again.
bool backend_take_back(struct vm *vm);

// ---- backend_event.c

// As MEZZ_CALL_EVENTS: `page` is a page of the root VM's memory, for good.
s64 backend_events(struct vm *root, void *page);

// Sets bits of a word of the VM's bells, and has its back-end look, if one is attached. Any locks below LOCK_SCHED.
void backend_ring(const struct vm *vm, u64 *word, u64 bits);

// A vcpu of the VM, whose vm->rest is set while a back-end is attached, is about to sleep.
void backend_rest(struct vm *vm);

// The root VM has written its I/O APIC's entry for events.
void backend_events_again(void);
