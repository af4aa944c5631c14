// SPDX-License-Identifier: MIT
// The extended processor state (x87, SSE, AVX, ...) of vcpus. The kernel itself uses none of it.
//
// Nothing says when a guest writes XCR0 (QEMU does not intercept XSETBV), so the register is taken
// for guest state: read at every save, put back at every load. What is saved is always all that the
// processor has.
#pragma once

#include "lib/types.h"

void xstate_init_cpu(void);

// Bytes of an area, which must be 64-byte aligned. The same on all CPUs.
size_t xstate_size(void);

// All components that a guest may have in XCR0; 0 when the processor has no XSAVE.
u64 xstate_mask(void);

// Makes the area the state of a processor after RESET.
void xstate_reset(void *area);

// Keeps this CPU's state and its XCR0 (1 without XSAVE); afterwards XCR0 holds xstate_mask().
void xstate_save(void *area, u64 *xcr0);

// The reverse. xcr0 must be a value that the processor accepts: from xstate_save or checked against
// xstate_mask().
void xstate_load(const void *area, u64 xcr0);
