// SPDX-License-Identifier: MIT
// The console's output: a ring that is drained into the UART without waiting.
#pragma once

#include "lib/types.h"

// Space in the ring is kept for those who matter more: events, then the log, then VMs.
enum out_class { OUT_EVENT, OUT_LOG, OUT_VM };

void out_init(void); // once; kmem_alloc and timers work

// Before out_init: false. All functions below take that for granted.
bool out_ready(void);

// The lock of the console's state; rank LOCK_CONSOLE.
void out_lock(void);
void out_unlock(void);

// Lock held. Bytes that may be put now.
size_t out_room(enum out_class class);

// Lock held; n is at most out_room(OUT_EVENT).
void out_put(const void *bytes, size_t n);

// Lock held. vm_console_room(index) shall be called when there is room again.
void out_want_room(unsigned index);

// Lock not held, others may be. Starts what was put on its way: as much as the UART takes now (bounded); for the rest
// WORK_CONSOLE is posted, on which out_service is called, which sets a timer.
void out_kick(void);
void out_service(void);

// Lock not held. Waits until the ring is empty, or the UART takes nothing for long. At a panic (no locks): the same without
// regard to what another CPU was doing.
void out_flush(void);
void out_flush_panic(void);
