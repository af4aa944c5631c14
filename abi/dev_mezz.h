// SPDX-License-Identifier: MIT
// /dev/mezz in the root VM: hypercalls for programs, and what the back-end of a VM needs. The device is root's; what a call
// may do is decided by the kernel of Mezzanine, but for which process it comes from, which is the module's to know.
#pragma once

#include "abi/hypercall.h"

#define MEZZ_DEVICE "/dev/mezz"

// Calls with (argument[0], argument[1], a copy of the buffer, size) and copies the buffer out again when the result is not
// negative. The result is that of the ioctl: -1 with errno, else what the call returned. EINVAL: no number of a call for
// programs, or more than a page.
struct mezz_ioctl {
	u64 call; // enum mezz_call
	u64 argument[2];
	u64 buffer; // its address, if size is not 0
	u64 size;   // bytes, at most 4096
};
_Static_assert(sizeof(struct mezz_ioctl) == 40, "in the number below");

#define MEZZ_IOCTL 0x40284d00u // _IOW('M', 0, struct mezz_ioctl)

// This open file becomes the back-end of the VM, until it is closed, nothing is mapped of it any more, and nobody holds a page of
// the VM that was mapped (a pipe, a disk's request). It may call for this VM's devices only (MEZZ_CALL_DEVICE_* but DEVICE_ADD;
// EPERM else). `events` is an eventfd, which is signalled when bells of the VM ring. EBUSY: the VM has a back-end, or the file is
// one; ENOENT: no such VM.
struct mezz_attach {
	u64 vm;
	s32 events;
	u32 reserved;
};

#define MEZZ_ATTACH 0x40104d01u // _IOW('M', 1, struct mezz_attach)

// Makes a VM of a bundle (abi/bundle.h): as MEZZ_CALL_VM_CREATE, whose errors it has, and MEZZ_CALL_BUNDLE_BEGIN's. Returns its id: it
// waits for MEZZ_VM_START. What is wrong with the bundle is in the message, a line that ends with a zero byte; empty: only errno tells. EPERM: the
// file is a back-end. EINTR: the process was killed.
struct mezz_create {
	u64 bundle, size;          // its address, and bytes
	u64 message, message_size; // of a buffer; 0, 0: none is wanted
};

#define MEZZ_CREATE 0x40204d02u // _IOW('M', 2, struct mezz_create)

// mmap (shared) of an attached file: the VM's memory, by guest-physical address; or, at MEZZ_MAP_STATE, MEZZ_STATE_SIZE bytes that
// stay from one back-end of the VM to the next: first a page with struct mezz_bells, then what back-ends want to keep, zeros at
// first. A touch of what is not RAM is SIGBUS.
#define MEZZ_MAP_STATE  (1ull << 52)
#define MEZZ_STATE_SIZE (64u * 1024)
