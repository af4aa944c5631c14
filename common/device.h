// SPDX-License-Identifier: MIT
// The kernel of Mezzanine, asked by a program of the root VM through /dev/mezz (abi/dev_mezz.h).
#pragma once

#include <stdbool.h>

#include "abi/hypercall.h"

// Opens the device, once for the program. False after a message: this is not the root VM, or not root.
bool device_open(void);
int device_descriptor(void); // of the device that is open; -1: none

// The calls; false after a message when the kernel refused for another reason than those told.
bool device_host(struct mezz_host *h);
bool device_vm(uint64_t from, struct mezz_vm *vm, bool *found);
int device_vm_do(uint64_t id, enum mezz_vm_op op);        // 0, or -errno without a message
bool device_log(uint64_t position, struct mezz_log *log); // log->size 0: no more

// The n-th line of the VM's definition about disks and network cards, ended by a zero byte. Returns its length, or -errno without a
// message; -ENOENT: there is none.
int device_vm_line(uint64_t id, unsigned n, char *line, size_t size);

// Makes a VM of a bundle (abi/bundle.h). Returns its id: it waits for MEZZ_VM_START. Else -errno without a message, and in `message` what
// is wrong with the bundle, a line, or nothing.
int64_t device_create(const void *bundle, size_t size, char *message, size_t message_size);

// What the VM's console said from `position` on: fills the log, whose position is where to go on. Returns the number of bytes, 0: there
// is no more now; or -errno without a message.
int device_console_read(uint64_t id, uint64_t position, struct mezz_log *log);

// Types for the VM. Returns how many of the bytes were taken, which may be none; or -errno without a message.
int device_console_write(uint64_t id, const void *p, size_t n);

// All VMs by their ids, the root VM first: an array that the caller frees. NULL after a message.
struct mezz_vm *device_vms(size_t *count);

// The VM of that name, or with that number; false after a message.
bool device_find(const char *word, struct mezz_vm *vm);
