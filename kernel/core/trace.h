// SPDX-License-Identifier: MIT
// The trace: a ring of 16-byte-aligned records on each CPU, chosen by a mask; off, it costs one test of a byte.
#pragma once

#include "lib/types.h"
#include "abi/trace.h"

extern u64 trace_mask; // set of BIT(enum trace_event)

void trace_write(enum trace_event event, u16 vm, u16 vcpu, u64 a, u64 b);

// After console_init: the keys, and the mask of the kernel command line (trace=HEXMASK).
void trace_init(void);

#define TRACE(event, vm, vcpu, a, b)                                                               \
	do {                                                                                       \
		if (__builtin_expect((trace_mask >> (event)) & 1, 0))                              \
			trace_write(event, (u16)(vm), (u16)(vcpu), (u64)(a), (u64)(b));            \
	} while (0)
