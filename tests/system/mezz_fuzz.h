// SPDX-License-Identifier: MIT
// What the parts of mezz_fuzz share.
#pragma once

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "abi/dev_mezz.h"

#define PAGE       4096ul
#define MEMORY     (64ul << 20) // of the VM (fuzz_backend.py)
#define GENTLE     (16ul << 20) // the guest's own code and rings lie below
#define ARENA      (4ul << 30)  // of addresses, in which all mappings are
#define LARGEST    (128ul << 20)
#define FIRST_SLOT 2u
#define DEVICES    4u // good ones, from FIRST_SLOT on
#define CONFIG     16u
#define ACTS_MAX   48u
#define ERRORS     134u

// A process that plays the back-end of VM `id`.
struct life {
	uint32_t id, other; // another VM, which has a back-end
	bool root;          // it keeps root's rights and an open file that is attached to nothing
	bool gentle;        // it does not write where the guest's program is
	int control;        // -1: given up
	int attached;
	int events, pipe[2], pair[2], random, zero, disk;
	uint8_t *arena;
	const uint8_t *bundle;
	uint64_t bundle_size;
};
extern struct life l;

// What came of each act: [0] it succeeded, else by errno.
struct counts {
	_Atomic uint32_t of[ACTS_MAX][ERRORS];
};

// Each thread has its own.
struct mind {
	uint64_t state;
};

static inline uint64_t draw(struct mind *m)
{
	m->state ^= m->state >> 12;
	m->state ^= m->state << 25;
	m->state ^= m->state >> 27;
	return m->state * 0x2545F4914F6CDD1Dull;
}

static inline uint64_t below(struct mind *m, uint64_t n)
{
	return (draw(m) >> 16) % n;
}

// 0 or more, or -errno.
struct act {
	const char *name;
	long (*fn)(struct mind *m);
	unsigned weight;
};
extern const struct act acts[];
extern const unsigned act_count;

long told(long result); // -1 becomes -errno
uint64_t odd(struct mind *m);
uint8_t *in_arena(struct mind *m); // LARGEST bytes behind it are there
uint64_t a_length(struct mind *m);

long kernel_call(int fd, uint64_t nr, uint64_t a0, uint64_t a1, void *buffer, uint64_t size);
long attach_to(int fd, uint64_t vm, int events);
long add_device(int fd, uint32_t id, unsigned slot, struct mind *m); // a good one

// What a signal handler calls: an access to memory that is not there, or not any more, is over.
void access_failed(int signal);

// ---- mezz_fuzz_memory.c
long act_map(struct mind *m);
long act_map_state(struct mind *m);
long act_map_huge(struct mind *m);
long act_unmap(struct mind *m);
long act_move(struct mind *m);
long act_protect(struct mind *m);
long act_advise(struct mind *m);
long act_remap(struct mind *m);
long act_lock(struct mind *m);
long act_touch(struct mind *m);
long act_scribble(struct mind *m);
long act_read_into(struct mind *m);
long act_disk_into(struct mind *m);
long act_copy(struct mind *m);
long act_splice(struct mind *m);
long act_drain(struct mind *m);
