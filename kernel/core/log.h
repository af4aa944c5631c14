// SPDX-License-Identifier: MIT
// The kernel log, panics and assertions.
//
// The ladder of errors: a function returns -errno; what a guest did wrong beyond repair stops that
// VM (vm_stop); only the kernel's own bugs and a machine that cannot go on panic. An assertion
// finds our bug, it never handles input.
#pragma once

#include "lib/format.h"

// One line of the log, without the newline; a time stamp is put in front. Any context. Nothing that
// a guest can repeat at will may be logged without a limit: use log_vm_limited (vm.h) for that.
__attribute__((format(printf, 1, 2))) void log_line(const char *fmt, ...);

// Once, as soon as kmem_alloc works: gives the log its 32 KiB. Until then the first lines are kept
// in a small buffer, which is gone soon after.
void log_init(void);

// Copies kept text from position *at on (0: the oldest kept) into out, at most size bytes; returns
// how many and moves *at behind them. Positions count all text ever logged. 0: no more.
size_t log_read(u64 *at, char *out, size_t size);

// Shows the kept log on the console again.
void log_show(void);

// Prints cause, registers and a backtrace on every console, stops all CPUs. Any context.
__attribute__((format(printf, 1, 2), noreturn)) void panic(const char *fmt, ...);

#define ASSERT(cond)                                                                               \
	do {                                                                                       \
		if (__builtin_expect(!(cond), 0))                                                  \
			panic("assertion failed: %s, %s:%d", #cond, __FILE__, __LINE__);           \
	} while (0)
