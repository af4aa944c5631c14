// SPDX-License-Identifier: MIT
// The kernel log, panics and assertions.
//
// The ladder of errors: a function returns -errno; what a guest did wrong beyond repair stops that VM
// (vm_stop); only the kernel's own bugs and a machine that cannot go on panic. An assertion finds our bug, it
// never handles input.
#pragma once

#include "lib/format.h"

// One line of the log, without the newline; a time stamp is put in front. Any context. Nothing that a guest
// can repeat at will may be logged without a limit: use log_vm_limited (vm.h) for that.
__attribute__((format(printf, 1, 2))) void log_line(const char *fmt, ...);

// Prints cause, registers and a backtrace on every console, stops all CPUs. Any context.
__attribute__((format(printf, 1, 2), noreturn)) void panic(const char *fmt, ...);

#define ASSERT(cond)                                                                               \
	do {                                                                                       \
		if (__builtin_expect(!(cond), 0))                                                  \
			panic("assertion failed: %s, %s:%d", #cond, __FILE__, __LINE__);           \
	} while (0)
