// SPDX-License-Identifier: MIT
// What a back-end asks of the kernel of Mezzanine about its VM, and no more. link_mezz.c asks through /dev/mezz; unit tests play
// the kernel.
//
// Results are 0 or more, or -errno as abi/hypercall.h tells. The VM is found by its name once and then meant by its id.
#pragma once

#include <stddef.h>

#include "abi/dev_mezz.h"

struct link;

// Opens the way to the kernel; NULL: *why tells.
struct link *link_open(const char **why);
void link_close(struct link *l);

// The VM of that name, which is this link's from now on. -ENOENT: none has it.
int link_find(struct link *l, const char *name, struct mezz_vm *vm);

// How the VM is now.
int link_look(struct link *l, struct mezz_vm *vm);

// The process becomes the VM's back-end; bells signal the eventfd. -EBUSY: it has one, or an earlier one has something in flight.
int link_attach(struct link *l, int events);

// ---- of the one who is attached

// The open file by which the VM is attached, as long as it is open.
int link_fd(const struct link *l);

// Maps guest memory [0, size), and the state that outlives a back-end (MEZZ_STATE_SIZE). NULL: errno tells.
void *link_map_memory(struct link *l, u64 size);
void *link_map_state(struct link *l);
struct mezz_firmware *link_map_firmware(struct link *l); // of a VM that has some

int link_state(struct link *l, unsigned slot, struct mezz_device_state *s);
int link_interrupt(struct link *l, unsigned slot, u64 queues);
int link_do(struct link *l, unsigned slot, enum mezz_device_op op);
int link_config(struct link *l, unsigned slot, const void *config, size_t size);

// ---- until link_confine, which gives them up

// The n-th line of the VM's definition, a text of less than `size` bytes; its length.
int link_line(struct link *l, unsigned n, char *text, size_t size);
int link_file(struct link *l, unsigned line, u64 offset, void *to, size_t size);
int link_add(struct link *l, const struct mezz_device *d);
int link_start(struct link *l);
void link_confine(struct link *l);
