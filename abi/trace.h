// SPDX-License-Identifier: MIT
// Trace records as the kernel writes them and `mezz trace` decodes them.
//
// The kernel prints a dump into its log as lines "trace: CPU TSC EVENT VM VCPU A B", numbers in hexadecimal.
#pragma once

#include "lib/types.h"

enum trace_event {
	TRACE_ENTER,     // a: guest rip, b: event injected
	TRACE_EXIT,      // a: guest rip, b: reason (enum exit_reason)
	TRACE_IO,        // a: port | size << 16 | write << 24, b: value
	TRACE_MMIO,      // a: gpa, b: value
	TRACE_MSR,       // a: msr | write << 32, b: value
	TRACE_INJECT,    // a: vector
	TRACE_IRQ,       // a: destination, b: vector | mode << 8
	TRACE_SCHED,     // a: from state, b: to state
	TRACE_FAULT,     // a: gpa, b: access
	TRACE_HYPERCALL, // a: number, b: result
	TRACE_EVENTS
};

struct trace_record {
	u64 tsc;
	u16 event;
	u16 vm;
	u16 vcpu;
	u16 cpu;
	u64 a;
	u64 b;
};

_Static_assert(sizeof(struct trace_record) == 32, "part of the ABI");
