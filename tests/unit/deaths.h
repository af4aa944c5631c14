// SPDX-License-Identifier: MIT
// What a process leaves that is killed between any two of its machine instructions: code is run step by step (the trap flag),
// and each time memory that outlives the process has changed, a copy of it is kept.
//
//	deaths_memory(&d, p, len);            // for each piece of such memory
//	DEATHS_WATCH(&d, entry_of_device());  // any number of times
//	for (unsigned i = 0; i < d.count; i++) {
//		deaths_return(&d, i);         // memory is as then
//		...                           // somebody else goes on
//	}
#pragma once

#include "lib/types.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEATHS_MAX    4096u
#define DEATHS_PIECES 16u

struct deaths {
	struct {
		u8 *at;
		size_t len;
	} piece[DEATHS_PIECES];
	unsigned pieces;
	size_t size;    // of all pieces
	unsigned count; // of copies
	u64 steps;      // instructions
	u8 *copy[DEATHS_MAX];
};

static struct deaths *deaths_now;

static inline void deaths_memory(struct deaths *d, void *at, size_t len)
{
	if (d->pieces == DEATHS_PIECES || d->count)
		abort();
	d->piece[d->pieces].at = at;
	d->piece[d->pieces++].len = len;
	d->size += len;
}

static inline bool deaths_same(const struct deaths *d, const u8 *copy)
{
	for (unsigned i = 0; i < d->pieces; copy += d->piece[i++].len)
		if (memcmp(copy, d->piece[i].at, d->piece[i].len))
			return false;
	return true;
}

// Room for the next copy is there before it is needed: malloc is not for a signal's handler.
static inline void deaths_note(struct deaths *d)
{
	u8 *to = d->copy[d->count];

	if (d->count && deaths_same(d, d->copy[d->count - 1]))
		return;
	for (unsigned i = 0; i < d->pieces; to += d->piece[i++].len)
		memcpy(to, d->piece[i].at, d->piece[i].len);
	if (++d->count == DEATHS_MAX)
		abort(); // more than anybody wants to look at
}

static void deaths_trap(int signal)
{
	(void)signal;
	deaths_now->steps++;
	deaths_note(deaths_now);
}

static inline void deaths_begin(struct deaths *d)
{
	struct sigaction trap = {.sa_handler = deaths_trap};

	for (unsigned i = 0; i < DEATHS_MAX; i++)
		if (!d->copy[i] && !(d->copy[i] = malloc(d->size)))
			abort();
	deaths_now = d;
	deaths_note(d);
	sigaction(SIGTRAP, &trap, NULL);
}

// What is on the stack below the pointer is kept.
#define DEATHS_FLAG(op, mask)                                                                      \
	__asm__ volatile("lea -128(%%rsp), %%rsp; pushf; " op " %0, (%%rsp); popf; "               \
			 "lea 128(%%rsp), %%rsp" ::"i"(mask)                                       \
			 : "memory", "cc")

#define DEATHS_WATCH(d, call)                                                                      \
	do {                                                                                       \
		deaths_begin(d);                                                                   \
		DEATHS_FLAG("orq", 0x100);                                                         \
		call;                                                                              \
		DEATHS_FLAG("andq", ~0x100);                                                       \
		deaths_note(d);                                                                    \
	} while (0)

static inline void deaths_return(const struct deaths *d, unsigned i)
{
	const u8 *from = d->copy[i];

	for (unsigned n = 0; n < d->pieces; from += d->piece[n++].len)
		memcpy(d->piece[n].at, from, d->piece[n].len);
}

static inline void deaths_free(struct deaths *d)
{
	for (unsigned i = 0; i < DEATHS_MAX; i++)
		free(d->copy[i]);
	*d = (struct deaths){0};
}
